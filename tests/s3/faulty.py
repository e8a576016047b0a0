"""A small S3 server whose faults are scripted. It verifies every signature, digest and clock as Amazon does, and lets nothing
be asked but what the README's policy allows: PUT, GET and DELETE of keys under the prefix."""
import base64
import email.utils
import hashlib
import hmac
import http.server
import re
import threading
import time

BUCKET, PREFIX, REGION = "pictures", "of the fleet", "eu-test-1"
ACCESS_KEY, SECRET_KEY, TOKEN = "key", "secret", "a-token"
SKEW_MAX_S = 900


def md5(body):
    return hashlib.md5(body).hexdigest()


def signature(secret, scope, text):
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Faulty:
    """fault(request) is asked before each request is served; it returns True when it has answered (or hung up) itself.
    What stays is an attribute: etag(body) makes ETags, shape(headers) changes the headers of every answer."""

    def __init__(self):
        self.objects, self.requests, self.forbidden = {}, [], []
        self.fault = lambda request: False
        self.etag, self.shape = lambda body: f'"{md5(body)}"', lambda headers: headers
        self.statuses, self.ranges, self.chunked = {}, True, False
        self.skew_s, self.region = 0, REGION
        self.keys = {ACCESS_KEY: (SECRET_KEY, TOKEN)}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                outer.requests.append((self.command, self.path, dict(self.headers)))
                if outer.fault(self):
                    return
                body = self.body()
                if not outer.refused(self, body):
                    getattr(outer, self.command.lower())(self, body)

            do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = serve

            def body(self):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def answer(self, code, body=b"", **headers):
                lines = {name.replace("_", "-"): value for name, value in headers.items()}
                if outer.chunked and body:
                    lines["Transfer-Encoding"] = "chunked"
                    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                else:
                    lines.setdefault("Content-Length", str(len(body)))
                self.send_response_only(code)
                for name, value in outer.shape({"Date": outer.date(), **lines}).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                return True

            def refuse(self, code, name, more="", **headers):
                self.body()
                return self.answer(code, f"<Error><Code>{name}</Code>{more}</Error>".encode(), **headers)

            def hang_up(self):
                self.close_connection = True
                self.connection.close()
                return True

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # whoever hangs up has its reasons

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def date(self):
        return email.utils.formatdate(time.time() + self.skew_s, usegmt=True)

    # ---- who may ask for what ----------------------------------------------------------------------------------------

    def refused(self, request, body):
        """Answers what is not permitted; True when it has."""
        if request.command not in ("GET", "PUT", "DELETE") or not request.path.startswith(f"/{BUCKET}/of%20the%20fleet/"):
            self.forbidden.append((request.command, request.path))
            return request.answer(403, b"" if request.command == "HEAD" else b"<Error><Code>AccessDenied</Code></Error>")
        wrong = self.wrong(request, body)
        return wrong is not None and request.answer(wrong[0], wrong[1].encode())

    def wrong(self, request, body):
        """(status, document) of what is wrong with a request's signature, or None."""
        def error(status, code, more=""):
            return status, f"<Error><Code>{code}</Code>{more}</Error>"
        head = request.headers
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), "
                             r"Signature=([0-9a-f]{64})", head.get("Authorization", ""))
        if not found:
            return error(403, "AccessDenied")
        access, day, region, names, given = found.groups()
        if access not in self.keys:
            return error(403, "InvalidAccessKeyId")
        secret, token = self.keys[access]
        if head.get("x-amz-security-token") != token:
            return error(400, "InvalidToken")
        if region != self.region:
            return error(400, "AuthorizationHeaderMalformed", f"<Region>{self.region}</Region>")
        stamp = head["x-amz-date"]
        then = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.mktime(time.gmtime()) + time.time()
        if abs(then - time.time() - self.skew_s) > SKEW_MAX_S or stamp[:8] != day:
            return error(403, "RequestTimeTooSkewed")
        must = {"host"} | {name.lower() for name in head if name.lower().startswith("x-amz-")}
        if not must <= set(names.split(";")) or "Expect" in head or "Transfer-Encoding" in head:
            return error(403, "SignatureDoesNotMatch")
        path, _, query = request.path.partition("?")
        lines = "".join(f"{name}:{' '.join(head[name].split())}\n" for name in names.split(";"))
        canonical = "\n".join([request.command, path, query, lines, names, head["x-amz-content-sha256"]])
        scope = [day, region, "s3", "aws4_request"]
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
        if signature(secret, scope, text) != given:
            return error(403, "SignatureDoesNotMatch")
        if hashlib.sha256(body).hexdigest() != head["x-amz-content-sha256"]:
            return error(400, "XAmzContentSHA256Mismatch")
        if "Content-MD5" in head and base64.b64decode(head["Content-MD5"]) != hashlib.md5(body).digest():
            return error(400, "BadDigest")
        return None

    # ---- what is done ------------------------------------------------------------------------------------------------

    def put(self, request, body):
        self.objects[request.path] = body
        return request.answer(self.statuses.get("PUT", 200), ETag=self.etag(body))

    def get(self, request, _):
        """What is not there is forbidden: this is how it looks to who may not list."""
        if request.path not in self.objects:
            return request.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        body = self.objects[request.path]
        if self.ranges and request.headers.get("Range") == "bytes=0-0":
            return request.answer(206, body[:1], ETag=self.etag(body), Content_Range=f"bytes 0-0/{len(body)}")
        return request.answer(200, body, ETag=self.etag(body))

    def delete(self, request, _):
        self.objects.pop(request.path, None)
        return request.answer(204)

    def pictures(self):
        """The stored objects but those of checks, by the path in their URL."""
        return {path.replace("%20", " "): body for path, body in self.objects.items() if "darkroom-check" not in path}

    @property
    def store(self):
        return f"s3://{BUCKET}/{PREFIX}"

    @property
    def environment(self):
        return {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.server.server_port}", "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_SESSION_TOKEN": TOKEN, "AWS_REGION": REGION}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
