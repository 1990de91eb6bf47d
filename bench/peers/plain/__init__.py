"""The plain Flask-SocketIO chat, in a folder of its own so that gunicorn finds no settings of ours."""
