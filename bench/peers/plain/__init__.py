"""The plain Flask-SocketIO chat; in a folder of its own, as the other servers."""
