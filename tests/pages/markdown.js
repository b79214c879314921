"use strict";
// Markdown, and what the page makes of it; attributes that all elements of a kind have are left out.
module.exports = [
  ["a **b *c* d** *e* ***f*** ~~g~~", "<p>a <strong>b <em>c</em> d</strong> <em>e</em> <strong><em>f</em></strong> <s>g</s></p>"],
  ["**a `**` b** *c **d***", "<p><strong>a <code>**</code> b</strong> <em>c <strong>d</strong></em></p>"],
  ["snake_case_name 2 * 3 * 4 \\*a\\* _b_ **open", "<p>snake_case_name 2 * 3 * 4 *a* <em>b</em> **open</p>"],
  ["`` a ` b `` ` ``", "<p><code>a ` b</code> ` ``</p>"],
  ["It costs $5 or $10. $a_1 * b_2 * c$ \\(x_1 * y_2\\)", '<p>It costs $5 or $10. <span class="maths">$a_1 * b_2 * c$</span> <span class="maths">\\(x_1 * y_2\\)</span></p>'],
  ["so\n$$\na_1 * b_1\n$$\nend", '<p>so</p><div class="maths">$$\na_1 * b_1\n$$</div><p>end</p>'],
  ["# One ##\n### Three\nTwo\n===\n---", "<h2>One</h2><h3>Three</h3><h2>Two</h2><hr>"],
  ["1. a\n   ```sh\n     ls\n   ```\n2. b\n   - c\n     - d\n\n   e\n\n3. f", '<ol start="1"><li>a<div class="code"><div class="head"><span>sh</span></div><pre><code>  ls</code></pre></div></li><li>b<ul><li>c<ul><li>d</li></ul></li></ul><p>e</p></li><li>f</li></ol>'],
  ["- a\n  b\n- [ ] c\n- [x] d\n\n7) e", '<ul><li>a<br>b</li><li class="task">☐ c</li><li class="task">☑ d</li></ul><ol start="7"><li>e</li></ol>'],
  ["> a\n> - b\n> > c", "<blockquote><p>a</p><ul><li>b</li></ul><blockquote><p>c</p></blockquote></blockquote>"],
  ["t:\n| a | b |\n|:-:|--:|\n| `c` \\| d | e<br>f |", '<p>t:</p><div class="wide"><table><thead><tr><th class="middle">a</th><th class="end">b</th></tr></thead><tbody><tr><td class="middle"><code>c</code> | d</td><td class="end">e<br>f</td></tr></tbody></table></div>'],
  ["~~~\n```\n~~~\n```js title\nlet a\n", '<div class="code"><div class="head"><span></span></div><pre><code>```</code></pre></div><div class="code"><div class="head"><span>js</span></div><pre><code>let a\n</code></pre></div>'],
  ["\tint a;", '<div class="code"><div class="head"><span></span></div><pre><code>int a;</code></pre></div>'],
  ["[a **b**](https://e.org/x_(y)) <https://e.org/z> see https://e.org/a_b).", '<p><a href="https://e.org/x_(y)">a <strong>b</strong></a> <a href="https://e.org/z">https://e.org/z</a> see <a href="https://e.org/a_b">https://e.org/a_b</a>).</p>'],
  ["[https://bank.com](https://evil.example/) ![a cat](https://e.org/c.png)", '<p><a href="https://evil.example/">https://bank.com (evil.example)</a> <a href="https://e.org/c.png">a cat</a></p>'],
  ["[a](javascript:b) [c](data:text/html,d) [e] [f](//g)", "<p>[a](javascript:b) [c](data:text/html,d) [e] [f](//g)</p>"],
  ["<b>a</b> &amp; <img src=x onerror=y>", "<p>&lt;b&gt;a&lt;/b&gt; &amp;amp; &lt;img src=x onerror=y&gt;</p>"],
  ["*".repeat(9) + " a " + "> ".repeat(40) + "b", `<p>${"*".repeat(9)} a ${"&gt; ".repeat(40)}b</p>`],
];
