"""How the page of a report looks: that of the figures, dark and quiet, with numbers that stand below each other."""

__all__ = ["STYLE"]

STYLE = """
:root{--ground:#0d0d12;--raised:#16161d;--line:#2a2a33;--ink:#e9e6df;--faint:#9a98a3;--accent:#e8a33d;--bad:#ff8d7a;--good:#8fd19a}
*{box-sizing:border-box}
html{background:var(--ground);color:var(--ink);scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;font:16px/1.6 "Inter","Segoe UI",system-ui,-apple-system,"Helvetica Neue","Liberation Sans",sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1120px;margin:0 auto;padding:56px 32px 96px}
.over{margin:0;color:var(--accent);font-size:13px;letter-spacing:.08em;text-transform:uppercase}
h1{margin:4px 0 12px;font-size:40px;line-height:1.15;font-weight:650;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{margin:0 0 16px;font-size:22px;line-height:1.3;font-weight:600;letter-spacing:-.005em}
h3{margin:32px 0 8px;font-size:16px;font-weight:600}
p{max-width:72ch;margin:8px 0}
.good{color:var(--good)}
ul.bad{margin:8px 0;padding-left:20px;color:var(--bad)}
.faint,footer{color:var(--faint);font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(164px,1fr));gap:1px;margin:28px 0 0;
background:var(--line);border:1px solid var(--line);border-radius:10px;overflow:hidden}
.tiles div{padding:16px 18px;background:var(--raised)}
.tiles b{display:block;font-size:19px;font-weight:600;line-height:1.3;overflow-wrap:anywhere}
.tiles span{color:var(--faint);font-size:13px}
nav{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:4px 22px;margin:28px -32px 0;padding:14px 32px;
background:rgba(13,13,18,.94);border-bottom:1px solid var(--line);font-size:14px}
nav a{color:var(--faint);text-decoration:none}
nav a:hover,nav a:focus{color:var(--ink)}
section{padding-top:44px;scroll-margin-top:24px}
figure{margin:0 0 28px}
figure img{display:block;max-width:100%;height:auto}
figcaption{margin-top:8px;color:var(--faint);font-size:14px;max-width:80ch}
.scroll{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-size:14px;line-height:1.45}
th,td{padding:7px 18px 7px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;
overflow-wrap:anywhere}
th{color:var(--faint);font-weight:500;white-space:nowrap}
td:first-child,.n{white-space:nowrap}
.n{text-align:right}
pre{margin:0;padding:18px 20px;background:var(--raised);border:1px solid var(--line);border-radius:10px;overflow-x:auto;
font:13px/1.55 ui-monospace,"SF Mono","Cascadia Mono","DejaVu Sans Mono",monospace;tab-size:2}
code{font:0.9em ui-monospace,"SF Mono","Cascadia Mono","DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
footer{margin-top:64px;padding-top:16px;border-top:1px solid var(--line)}
@media(max-width:640px){main{padding:32px 18px 64px}h1{font-size:30px}nav{margin:24px -18px 0;padding:12px 18px}}
@media print{nav{display:none}section{break-inside:avoid}}
"""
