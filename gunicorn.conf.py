"""Production defaults; gunicorn finds this file by itself."""

bind = "127.0.0.1:5000"
worker_connections = 10_000
keepalive = 5  # never 0: that would let a client send its headers for ever
timeout = 60
graceful_timeout = 8
control_socket_disable = True
