"""How the pages beside the chat look; see `style.py`."""

PAGES_CSS = """
#learned, .token-sheet { line-height: 1.6; }
#learned { gap: 0.5rem; }
#learned .html-container { max-width: 52rem; }
#learned h2 { font-size: 1.1rem; margin: 1.25rem 0 0.25rem; }
#learned h3, .token-sheet h3 { font-size: 0.95rem; margin: 1rem 0 0.25rem; }
#learned ul { padding-left: 1.2rem; list-style: disc; }
#learned li { margin: 0.15rem 0; }
#learned summary, .token-sheet summary { cursor: pointer; margin-top: 0.75rem; font-weight: 600; }
#learned pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85em; }
#learned table, .token-sheet table { border: none !important; border-collapse: collapse; }
#learned :is(th, td), .token-sheet :is(th, td) {
  text-align: left; padding: 0.25rem 1.5rem 0.25rem 0; border: none !important; vertical-align: top;
}
#learned tr, .token-sheet tr {
  border: none; border-bottom: 1px solid var(--border-color-primary) !important;
}
#learned th, .token-sheet th { color: var(--body-text-color-subdued); font-weight: 400; }

.bars { display: grid; gap: 0.35rem; }
.bar-row {
  display: grid; grid-template-columns: 22rem 1fr 3rem; gap: 0.75rem; align-items: center;
}
.bar-row b { text-align: right; }
.track { background: var(--border-color-primary); border-radius: 1em; height: 0.6rem; }
.track span {
  display: block; height: 100%; border-radius: 1em; background: var(--primary-500);
}
#learned .wide { overflow-x: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
#learned .html-container:has(.charts) { max-width: none; }
.curves { margin: 0; }
.curves figcaption { font-weight: 600; font-size: 0.9rem; }
.curves svg { width: 100%; height: auto; display: block; }
.curves .axes text { fill: var(--body-text-color-subdued); font-size: 11px; }
.curves .axes line { stroke: var(--body-text-color-subdued); }
.curves .axes .grid { stroke: var(--border-color-primary); }
.curves polyline { fill: none; stroke: var(--line); stroke-width: 1.75; stroke-linejoin: round; }
.curves circle { fill: var(--line); }
.curves g:hover polyline { stroke-width: 3.5; }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; font-size: 0.8rem; }
.legend span::before { content: "●"; color: var(--line); margin-right: 0.3em; }
.line-0 { --line: #3b82f6; } .line-1 { --line: #f97316; } .line-2 { --line: #10b981; }
.line-3 { --line: #ec4899; } .line-4 { --line: #8b5cf6; } .line-5 { --line: #84cc16; }
.line-6 { --line: #06b6d4; } .line-7 { --line: #a16207; } .line-8 { --line: #ef4444; }
.line-9 { --line: #64748b; } .line-10 { --line: #d946ef; } .line-11 { --line: #14b8a6; }
.sources-read { width: 100%; }
.sources-read .attribution, .sources-read .kind {
  color: var(--body-text-color-subdued); font-size: 0.8em; overflow-wrap: anywhere;
}
.sources-read .share { white-space: nowrap; font-variant-numeric: tabular-nums; }
.sources-read .bar {
  display: block; height: 0.3rem; border-radius: 1em; background: var(--primary-500);
  min-width: 2px;
}
.moment {
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); padding: 0.8rem 1rem; min-height: 18rem;
}
.moment header { color: var(--body-text-color-subdued); font-size: 0.85em; }
.moment p { margin: 0.6rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.moment .prompt { font-weight: 700; }

.counts { display: flex; flex-wrap: wrap; gap: 0.5rem 2rem; }
.counts b { display: block; font-size: 1.3rem; line-height: 1.2; }
.counts span { color: var(--body-text-color-subdued); font-size: 0.85em; }
.pieces {
  position: relative; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1.05rem;
  line-height: 1.9; border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); background: var(--block-background-fill);
  padding: 2.4rem 1rem 1rem; margin-top: 0.75rem; max-height: 24rem; overflow-y: auto;
}
.pieces::before, .piece:is(:hover, :focus)::after {
  position: absolute; top: 0; left: 0; right: 0; padding: 0.3rem 1rem; font-size: 0.8rem;
  font-family: var(--font-mono); color: var(--body-text-color-subdued);
  background: var(--background-fill-secondary);
  border-bottom: 1px solid var(--border-color-primary);
}
.pieces::before { content: "Point at a piece, or tap it."; }
.piece:is(:hover, :focus)::after { content: attr(data-tip); color: var(--body-text-color); }
.piece { border-radius: 0.25em; padding: 0.1em 0; outline: none; cursor: default; }
.piece:is(:hover, :focus) { box-shadow: 0 0 0 2px var(--primary-500); }
.piece.c0 { background: #3b82f655; } .piece.c1 { background: #f59e0b55; }
.piece.c2 { background: #10b98155; } .piece.c3 { background: #ec489955; }
.piece.c4 { background: #8b5cf655; } .piece.c5 { background: #84cc1655; }
.piece.control {
  border: 1px solid var(--body-text-color-subdued); padding: 0.1em 0.35em; margin: 0 0.1em;
  font-family: var(--font-mono); font-size: 0.8em; white-space: nowrap;
}
.note { border-left: 3px solid var(--primary-500); padding-left: 0.75rem; margin: 0.75rem 0 0; }
.ids {
  font-family: var(--font-mono); font-size: 0.85rem; overflow-wrap: anywhere; margin: 0;
  max-height: 9rem; overflow-y: auto;
}

#samples { align-items: flex-start; }
.sample .textfield { line-height: 1.8; }
.sample .token, .sample .token .text { padding: 0 !important; margin: 0 !important; border: none; }
.sample .token { font-size: 0; margin-right: 1px !important; } /* of the blanks in it */
.sample .token.highlighted { display: inline-block; }
.sample .token .text { font-size: 1rem; }
.dark .sample .token.highlighted { /* Gradio writes black, on colours that are dark now */
  color: white !important; background-image: linear-gradient(#0f172a55, #0f172a55);
}
.sample .token.selectable { cursor: pointer; }
.sample .token:is(:hover, :focus) { outline: 2px solid var(--primary-500); }
.sample-figures, .odds { color: var(--body-text-color-subdued); font-size: 0.85em; }
.odds { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; align-items: center; }
.odds i {
  display: inline-block; width: 0.9em; height: 0.9em; border-radius: 0.2em; margin-right: 0.35em;
  vertical-align: -0.1em; opacity: 0.6;
}
#alternatives {
  border-left: 3px solid var(--primary-500); padding-left: 0.9rem; gap: 0.5rem;
}
#others { font-family: var(--font-mono); }

#library { gap: 2rem; }
#adders, #library-list { gap: 0.5rem; }
#library-list { max-height: 26rem; overflow-y: auto; }
#items .item {
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); padding: 0.45rem 0.75rem; margin-top: 0.35rem;
}
#items .name { font-weight: 600; overflow-wrap: anywhere; }
#items .line { overflow-wrap: anywhere; }
#items .waiting { color: var(--body-text-color-subdued); }
#items .failed { border-left: 3px solid #dc2626; }
#items .added { border-left: 3px solid #16a34a; }
#items .stopped { border-left: 3px solid #f59e0b; }
#items .track { margin-top: 0.35rem; height: 0.35rem; overflow: hidden; }
.track .unknown { width: 30%; animation: slide 1.4s ease-in-out infinite alternate; }
@keyframes slide { to { margin-left: 70%; } }
#summary p { font-weight: 600; margin: 0; }
#older {
  border-left: 3px solid var(--primary-500); padding-left: 0.75rem; gap: 0.5rem;
}
.usage p { margin: 0 0 0.25rem; color: var(--body-text-color-subdued); font-size: 0.9em; }
.usage .track { height: 0.35rem; }
.usage.full .track span { background: #dc2626; }
.document-row .size { display: block; }
#library-search { margin-top: 1rem; gap: 0.75rem; }
#library-search h2 { font-size: 1.1rem; margin: 0; }
#search-row { align-items: stretch; }
.found { display: grid; gap: 0.6rem; }
.found .why {
  display: flex; flex-wrap: wrap; gap: 0.1rem 1.25rem; margin-top: 0.4rem; font-size: 0.8rem;
  color: var(--body-text-color-subdued);
}
.found .why b { color: var(--body-text-color); }

@media (max-width: 40rem) {
  .curves .axes text { font-size: 17px; }
  .bar-row { grid-template-columns: 1fr 3rem; gap: 0 0.75rem; }
  .bar-row > span:first-child { grid-column: 1 / -1; }
  .sources-read thead { display: none; }
  .sources-read tr { display: flex; flex-wrap: wrap; gap: 0 1.25rem; padding: 0.4rem 0; }
  .sources-read td { padding: 0 !important; }
  .sources-read td:first-child { flex-basis: 100%; }
  .sources-read .none { display: none; }
  .sources-read .share::before {
    content: attr(data-stage) " "; color: var(--body-text-color-subdued); font-size: 0.8em;
  }
  .sources-read .bar { display: none; }
}
"""
