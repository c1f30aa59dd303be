/* What is wider than its box must be within reach of the keyboard. The theme sees to that when a page is loaded; this
   does the same for code and outputs that were folded away then, as soon as they are unfolded. */
(() => {
  "use strict";
  const isCut = (node) => node.scrollWidth > node.clientWidth || node.scrollHeight > node.clientHeight;
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) if (isCut(target)) target.tabIndex = 0;
  });
  for (const node of document.querySelectorAll("pre, .cell_output > .output")) sizes.observe(node);
})();
