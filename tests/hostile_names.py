"""Names that try to break out of whatever they are written into (hardening.md H5); every format must show them as text."""

from __future__ import annotations

_MARKUP = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "</script><script>x</script>",
    "<b>bold</b>", "<!-- comment -->", "-->", "<!--", "]]>", "<![CDATA[x]]>", "<?xml version='1.0'?>", "<?php x ?>",
    "&lt;b&gt;", "&amp;", "&", "&#x3c;", "&#60;script&#62;", "&nbsp;", "&copy", "&amp;lt;", "<", ">", "<>", "'", '"',
    "\"'><svg onload=x>", "' onmouseover='alert(1)", '" onmouseover="alert(1)', "javascript:alert(1)",
    "JaVaScRiPt:alert(1)", "data:text/html;base64,PHNjcmlwdD4=", "vbscript:x", "<a href='javascript:x'>y</a>",
    "</title><script>x</script>", "</style><b>", "</svg>", "</text><a xlink:href='x'>", "<iframe src=x>",
    "<style>*{display:none}</style>", "<math><mtext>", "{{constructor.constructor('x')()}}", "${7*7}", "#{7*7}",
    "<%= 7*7 %>", "{% raw %}", "{{ .Values.x }}", "__proto__", "constructor", "toString", "</SCRIPT >",
)  # fmt: skip

_TERMINAL = (
    "\x1b[31mred\x1b[0m", "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "\x9b31m", "\x9d0;t\x9c",
    "a\rb", "a\nb", "a\r\nb", "a\tb", "a\x00b", "\x00", "a\x08\x08b", "\x07", "\x7f", "\x85", "a\x0bb", "a\x0cb", "\x0e", "\x1bc",
    "\x1b[?1049h", "\x1bP+q\x1b\\", "\x1b[6n", "[red]x[/red]", "[link=http://x]y[/link]", "[/]", "[bold",
)  # fmt: skip

_UNICODE = (
    "\u202egnp.exe", "a\u202db", "a\u202ab\u202c", "\u2066x\u2069", "a\u2067b\u2069", "a\u200bb", "a\u200cb", "a\u200db",
    "a\u200eb", "a\u200fb", "\ufeffbom", "a\u2028b", "a\u2029b", "a\u00adb", "a\u061cb", "a\u2060b", "\ufffe", "\uffff",
    "\U000e0041tag", "\ud800", "a\udc80b", "\udfff\ud800", "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5", "A\u030a", "\ufb01n",
    "p\u0430ypal", "\u0391dmin", "adm\u0456n", "\uff41dmin", "\u0130stanbul", "\u0131", "stra\u00dfe", "\U0001f600",
    "\U0001f469\u200d\U0001f4bb", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "a" + "\u0300" * 40, "\u05e9\u05dc\u05d5\u05dd",
    "\u0645\u0631\u062d\u0628\u0627", "\u65e5\u672c\u8a9e", "\u0e01\u0e33", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u3000", "\u00a0", "\u2003x", "\U00010348",
    "\U0010fffd", "\ue000", "\u2044", "\uff0f", "\u2024", "\u29f5",
)  # fmt: skip

_DOT = (
    'x"];y[label="', 'a"', 'a\\"', "a\\", "a\\\\", "\\N", "\\G", "\\L", "\\T", "\\E", "\\H", "a\\lb", "a\\nb", "a\\rb", "\\\\N", "}",
    "{", "};", "digraph", "subgraph cluster_x {", "n0", "n0 -> n1", "a:b:c", "system:serviceaccount:ns:name", "a->b", "a--b",
    "<<b>x</b>>", "<x>", "{a|b}", "|", "<port> x", '" URL="javascript:x', '" image="/etc/passwd', "/* x */", "// x", "# x", "\\",
    '" shapefile="/etc/passwd', "strict", "node", "edge", "graph",
)  # fmt: skip

_MERMAID = (
    'x"]', '"] --> evil["', 'click n0 href "http://x"', "click n0 call alert()", "%%{init: {'theme':'dark'}}%%", "%% comment",
    "end", "subgraph", "flowchart TD", ":::red", "classDef x fill:#f00;", "style n0 fill:#f00;", "linkStyle 0 stroke:#f00;",
    "#quot;", "#35;", "#lt;script#gt;", "a;b", "`md`", '"`**md**`"', "**b**", "_i_", "~~s~~", "1. item", "- item", "+ item",
    "* item", "# head", "$$x$$", "fa:fa-ban", "a --> b", "a -.-> b", "a ==> b", "x@{ shape: circle }", "default", "o--o", "www.x.y",
    "---", "accTitle: x",
)  # fmt: skip

_MARKDOWN = (
    "a|b", "| a | b |", "`code`", "``` fence", "~~~", "[text](javascript:x)", "![img](http://x/y.png)", "<http://x>", "[ref]: http://x",
    "> quote", "    indented", "***", "===", "\\|", "\\`", "http://x.example", "@user", "#123", "$x$", "| --- |", "^sup^", ":smile:",
    "[^1]", "- [ ] x", "a  ",
)  # fmt: skip

_TABLES_AND_QUERIES = (
    "=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "a,b", 'a"b,c', "a;b;c",
    "'; DROP TABLE x; --", "') DETACH DELETE n //", "' OR 1=1 --", "\\' OR 1=1", "`) MATCH (n) DELETE n //", "$param", "{x: 1}",
    "%s%s%n", "%00", "{0}", "{x.__class__}", "$(id)", "`id`", "; rm -rf /", "| id", "&& id", "-rf", "--help", "!x", "*", "?", "~", "~root",
    "{a,b}", "[a-z]", "\\u003cb\\u003e", "\\x1b[2J", "\\ud800", "null", "true", "false", "NaN", "1e9", "0x10", "007", "1_000", "yes", "no",
    "2020-01-01", "- a", "a: b", "&anchor", "*alias", "!!python/object:x", "? x", "%TAG", "...", "key: [", "=", "<<",
)  # fmt: skip

_SARIF_AND_PATHS = (
    "{0}{1}", "[link](0)", "../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "file:///etc/passwd", "a/b", "a%2fb", "a%0ab", ".",
    "..", "...x", "CON", "NUL", "a?b#c", "a b", " a", "a ", "", " ", "::error::x", "::set-output name=x::y", "##vso[task.x]y", "a::b",
    "\\\\host\\share", "a\\/b", "a=b", "a&b=c", "://", "a" * 253, "-".join(["ab"] * 84), "x" * 120 + '"\\', "\u65e5" * 120, "\x1b" * 80,
)  # fmt: skip

#: Distinct, and in a fixed order; tests run all of them through each format.
HOSTILE: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *_MARKUP, *_TERMINAL, *_UNICODE, *_DOT, *_MERMAID, *_MARKDOWN, *_TABLES_AND_QUERIES, *_SARIF_AND_PATHS,
        )
    )
)  # fmt: skip
