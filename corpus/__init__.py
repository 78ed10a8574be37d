"""What the model reads: the catalogue of sources, their readers, conversations and token shards."""
