"""How the model learns: one loop for every stage, presets, optimizer, export."""
