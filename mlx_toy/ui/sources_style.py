"""How the sources of an answer and its tokens look."""

SOURCES_CSS = """
#citations nav { display: flex; flex-wrap: wrap; gap: 0.3rem; }
#citations a {
  border: 1px solid var(--primary-500); border-radius: 1em; padding: 0 0.7em; font-size: 0.85em;
  color: var(--body-text-color); text-decoration: none; overflow-wrap: anywhere;
}
#citations a:hover { background: var(--background-fill-secondary); }
.passage {
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); padding: 0.6rem 0.8rem;
}
.passage.cited { border-color: var(--primary-500); }
.passage header {
  display: flex; flex-wrap: wrap; gap: 0.1rem 0.6rem; align-items: baseline; font-size: 0.85em;
}
.passage .number {
  background: var(--primary-500); color: white; border-radius: 1em; padding: 0 0.55em;
}
.passage .document { font-weight: 600; overflow-wrap: anywhere; }
.passage .page, .passage .similarity { color: var(--body-text-color-subdued); }
.passage .similarity { margin-left: auto; }
.passage .heading { font-weight: 600; margin: 0.3rem 0 0; }
.passage .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3rem 0 0; }
.quote { text-decoration: underline dotted var(--primary-500); }
.quote mark { font-weight: 700; }
.passage:target { outline: 3px solid var(--primary-300); outline-offset: 2px; }
.passage { scroll-margin-top: 1rem; }
#sources { gap: 0.6rem; }
.in-document {
  margin: -0.5rem 0 0.4rem; padding: 0 !important;
  border: none !important; background: none !important;
}
.in-document > button {
  font-size: 0.85em; padding: 0.2rem 0.8rem; width: fit-content; gap: 0.5rem;
  color: var(--body-text-color-subdued);
}
.page-image { margin: 0; }
.page-image div {
  max-height: 34rem; overflow: auto; border: 1px solid var(--border-color-primary);
}
.page-image img { width: 100%; min-width: 32rem; height: auto; display: block; }
.page-image figcaption { font-size: 0.85em; color: var(--body-text-color-subdued); }
.dark .page-image img { filter: brightness(0.85); }
.surroundings {
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 26rem; overflow-y: auto;
  color: color-mix(in srgb, var(--body-text-color) 65%, transparent);
  border-left: 3px solid var(--border-color-primary); padding: 0 0.8rem; margin-left: 0.8rem;
}
.surroundings .here { color: var(--body-text-color); }

#show-tokens { width: fit-content; }
.token-view { display: flex; flex-wrap: wrap; row-gap: 0.35rem; margin: 0.5rem 0; }
.token-view > input, .token .said {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
.token-view > i { width: 100%; }
.token {
  white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 0.2em; cursor: pointer;
  background: rgb(234 88 12 / var(--doubt)); border-bottom: var(--line) solid rgb(234 88 12);
  margin-right: 1px; font-size: 1.05rem; line-height: 1.5; position: relative;
}
.token.p0 { --doubt: 0; --line: 0px; }
.token.p1 { --doubt: 0.1; --line: 1px; }
.token.p2 { --doubt: 0.22; --line: 2px; }
.token.p3 { --doubt: 0.36; --line: 3px; }
.token.p4 { --doubt: 0.52; --line: 4px; }
.token-view .token:hover, .token-view > input:focus-visible + .token {
  outline: 2px solid var(--primary-500); z-index: 1;
}
.token-view > input:checked + .token { outline: 2px solid var(--body-text-color); z-index: 1; }
.token-view .details { display: none; order: 1; width: 100%; margin-top: 0.75rem; }
.token-view > input:checked + .token + .details,
.token-view > input:checked + .token + i + .details { display: block; }
.token-legend {
  display: flex; flex-wrap: wrap; gap: 0.3rem 0.6rem; align-items: baseline;
  font-size: 0.85em; color: var(--body-text-color-subdued); margin: 0;
}
.token-legend .token {
  cursor: default; font-size: 1em; padding: 0 0.4em; color: var(--body-text-color);
}
.details p { margin: 0 0 0.4rem; }
.details .columns {
  display: grid; gap: 0.5rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
}
.details h4 { font-size: 0.9rem; margin: 0.25rem 0; }
.details ul { list-style: none; margin: 0; padding: 0; font-size: 0.9em; }
.details li {
  display: flex; justify-content: space-between; gap: 1rem; padding: 0.05rem 0.4rem; margin: 1px 0;
  overflow-wrap: anywhere; border-radius: 0.2em;
  background: linear-gradient(var(--bar), var(--bar)) no-repeat 0 / calc(100% * var(--share)) 100%;
  --bar: rgb(59 130 246 / 0.3);
}
.details li.chosen { font-weight: 700; }
"""
