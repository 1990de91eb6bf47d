"""Confab with a ping timeout of 2 s, and a page that makes Engine.IO lose its sessions.

Engine.IO's service task visits every session once per ping timeout: within 2 s instead of 15 s.
"""

from chat import create_app
from config import Config

app = create_app(Config.from_environment().model_copy(update={"ping_grace_seconds": 2}))


@app.get("/lose/sessions")
def lose_sessions() -> str:
    """Delete every session of Engine.IO; the connections stay open. Return how many there were.

    This is the state that an error in a library leaves behind.
    """
    sockets = app.extensions["socketio"].server.eio.sockets
    sids = list(sockets)
    for sid in sids:
        del sockets[sid]
    return str(len(sids))
