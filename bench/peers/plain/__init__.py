"""The plain Flask-SocketIO chat of the benchmark."""
