"""Places that jobs' files come from: an HTTP server that plays an S3 bucket or a host of https:, as badly as a story wants."""
import hashlib
import http.server
import ssl
import subprocess
import threading
import time


class Answering(http.server.BaseHTTPRequestHandler):
    """Keeps its connections, and says nothing on stderr."""

    protocol_version = "HTTP/1.1"

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Place:
    """Serves `files` by path. `trouble` by path: seconds to wait, an HTTP status to refuse with, a URL to go to, or DRIP."""

    DRIP = object()  # a byte now and then, and never the whole

    def __init__(self, folder=None):
        self.files, self.trouble, self.asked = {}, {}, []
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.given_up = 0  # dripping transfers that the other side has left
        place = self

        class Handler(Answering):
            def do_GET(self):
                place.asked.append(self.path)
                trouble = place.trouble.get(self.path, 0)
                if trouble is Place.DRIP:
                    return self.drip()
                if isinstance(trouble, str):
                    return self.answer(302, b"", location=trouble)
                if trouble >= 100:
                    return self.answer(trouble, b"<Error><Code>SlowDown</Code></Error>")
                content = place.files.get(self.path)
                if content is None:
                    return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2 if trouble else 0
                self.wfile.write(content[:half])
                place.stopping.wait(trouble)
                try:
                    self.wfile.write(content[half:])
                except OSError:
                    pass  # the other side has given up, as it should

            def drip(self):
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                try:
                    while not place.stopping.wait(0.2):
                        self.wfile.write(b"\x89")
                except OSError:
                    with place.lock:
                        place.given_up += 1

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        if folder is not None:
            self.certificate = folder / "place.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "place.key", "-out",
                            self.certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, folder / "place.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def environment(self):
        """What makes a worker take it for its S3 server."""
        return {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}", "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}

    def put(self, path, content):
        self.files[path] = content
        return hashlib.sha256(content).hexdigest()

    def wait_for(self, path, seconds=20):
        end = time.monotonic() + seconds
        while path not in self.asked:
            assert time.monotonic() < end, f"nobody asked for {path}"
            time.sleep(0.02)

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
