"""The page of a service: BentoML's copy of Swagger UI, without anything from another host.

BentoML's own page loads a tag manager, and Swagger UI by default a validator's badge.
"""

from __future__ import annotations

import base64
import hashlib
import html

START = """
window.ui = SwaggerUIBundle({
  url: "./docs.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>{title}</title>
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
    <link rel="icon" href="data:,">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js" charset="utf-8"></script>
    <script>{start}</script>
  </body>
</html>
"""

_HASH = base64.b64encode(hashlib.sha256(START.encode()).digest()).decode()

POLICY = (
    b"content-security-policy",
    f"default-src 'self'; script-src 'self' 'sha256-{_HASH}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'".encode(),
)
"""The header that lets a browser load nothing into the page but what the service itself sends."""


def page(title: str) -> bytes:
    """The page as HTML."""
    return PAGE.format(title=html.escape(title), start=START).encode()
