"""The application: every route on the bundles that are served."""

from __future__ import annotations

from fastapi import FastAPI

from stages.serving import api, pages
from stages.serving.champion import Champions


def create_app(champions: Champions) -> FastAPI:
    """An ASGI application that answers for these models."""
    app = FastAPI(title="Plumbline", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.champions = champions
    app.include_router(api.build_router(champions))
    app.include_router(pages.build_router(champions))
    return app
