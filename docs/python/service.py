"""A server's loop: SIGHUP reads the configuration again, SIGUSR1 says how it is, SIGTERM ends it."""
import json, selectors, signal, socket, sys


def load(path):
    with open(path) as file:
        return {"greeting": str(json.load(file)["greeting"])}


def main(path):
    sys.stdout.reconfigure(line_buffering=True)
    config, served = load(path), 0
    ear, mouth = socket.socketpair()
    ear.setblocking(False)
    mouth.setblocking(False)  # the handler must never wait
    signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)  # all is done by the byte in the socket
    clients = socket.create_server(("127.0.0.1", 0))
    loop = selectors.DefaultSelector()
    loop.register(ear, selectors.EVENT_READ)
    loop.register(clients, selectors.EVENT_READ)
    print(f"ready on port {clients.getsockname()[1]}")
    while True:
        for key, _ in loop.select():  # a client or a signal, whichever is first
            if key.fileobj is clients:
                connection, _ = clients.accept()
                connection.sendall(config["greeting"].encode())
                connection.close()
                served += 1
                continue
            heard = set(ear.recv(4096))  # a set: the same signal twice is one wish
            if signal.SIGTERM in heard:
                print("end")
                return
            if signal.SIGUSR1 in heard:
                print(f"status: {served} served")
            if signal.SIGHUP in heard:
                try:
                    config = load(path)
                    print(f"reloaded: {config['greeting']}")
                except (OSError, ValueError, KeyError, TypeError) as error:
                    print(f"kept the old configuration: {error!r}")


main(sys.argv[1])
