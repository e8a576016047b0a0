"""A small S3-like server whose faults are scripted; it checks no signature (Swift does that)."""
import email.utils
import hashlib
import http.server
import threading
import time


class Faulty:
    """fault(request) is asked before each request is served; it returns True when it has answered (or hung up) itself."""

    def __init__(self):
        self.objects, self.requests = {}, []
        self.fault = lambda request: False
        self.skew_s = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                outer.requests.append((self.command, self.path, dict(self.headers)))
                if outer.fault(self):
                    return
                body = self.rfile.read(length)
                getattr(outer, self.command.lower())(self, body)

            do_GET = do_HEAD = do_PUT = do_DELETE = serve

            def date_time_string(self, timestamp=None):
                return email.utils.formatdate((timestamp or time.time()) + outer.skew_s, usegmt=True)

            def answer(self, code, body=b"", **headers):
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                if "Content_Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def refuse(self, code, name):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer(code, f"<Error><Code>{name}</Code></Error>".encode())
                return True

            def hang_up(self):
                self.close_connection = True
                self.connection.close()
                return True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def is_bucket(self, request):
        return request.path.count("/") == 1

    def put(self, request, body):
        self.objects[request.path] = (body, request.headers.get("x-amz-meta-sha256"))
        request.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

    def head(self, request, _):
        if self.is_bucket(request):
            return request.answer(200)
        if request.path not in self.objects:
            return request.answer(404)
        body, sha256 = self.objects[request.path]
        request.answer(200, Content_Length=str(len(body)), ETag=f'"{hashlib.md5(body).hexdigest()}"',
                       x_amz_meta_sha256=sha256)

    def delete(self, request, _):
        self.objects.pop(request.path, None)
        request.answer(204)

    @property
    def environment(self):
        return {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.server.server_port}", "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "a-token", "AWS_REGION": "eu-test-1"}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
