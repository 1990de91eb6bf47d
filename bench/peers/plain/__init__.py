"""The plain Flask-SocketIO chat; in its own folder, where gunicorn finds no configuration."""
