"""How the chat's own parts look: the list of conversations and the settings."""

CHAT_CSS = """
#sidebar .sidebar-content { padding: 1rem 1.75rem 1rem 0.75rem; width: 100%; }
#sidebar .column, #sidebar .form { gap: 0.5rem; }
#sidebar .toggle-button { z-index: 1; }
#conversations { max-height: 45dvh; padding: 0 !important; overflow-y: auto; }
#conversations .wrap { display: block; }
#conversations label {
  display: block; width: 100%; border: none; background: none; box-shadow: none;
  padding: 0.45rem 0.6rem; border-radius: var(--radius-md); cursor: pointer;
}
#conversations label:hover { background: var(--background-fill-primary); }
#conversations label.selected { background: var(--color-accent-soft); font-weight: 600; }
#conversations label:focus-within { outline: 2px solid var(--primary-500); outline-offset: -2px; }
#conversations input { position: absolute; opacity: 0; width: 1px; height: 1px; }
#conversations span:not(.sr-only) {
  display: block; margin: 0; color: var(--body-text-color);
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
#conversation-actions { gap: 0.25rem; }
#confirm-delete { gap: 0.4rem; overflow-wrap: anywhere; }
#settings { padding: 0.5rem 0.6rem; }
#settings .block { padding: 0.4rem 0; border: none !important; background: none; box-shadow: none; }
#settings .form, #settings .styler { border: none; background: none; box-shadow: none; }
#settings .head { position: relative; }
#settings .head label { width: 100%; }
#settings .head .tab-like-container { position: absolute; top: -0.2rem; right: 0; }
#settings .head input { width: 4.5rem; }
#settings [data-testid="block-info"] { margin: 0; }
#settings .model { color: var(--body-text-color-subdued); font-size: 0.85em; margin: 0; }
#settings .model code { white-space: nowrap; }
"""
