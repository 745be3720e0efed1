"""A server for tests that answers as vLLM does and writes the same program for every page.

    python scripted_server.py NOTES [--dies-after N] --host HOST --port PORT

Every start leaves a line in NOTES: its process id, and the node and the GPUs that Slurm gave to it.
"""

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("notes")
parser.add_argument("--dies-after", type=int, default=10**9)
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
answered = []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer({"data": []})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if len(answered) >= args.dies_after:
            sys.stderr.write("out of memory\n")
            os._exit(1)
        answered.append(1)
        message = {"role": "assistant", "content": "remove_lines(line_start=0, line_end=0)"}
        usage = {"prompt_tokens": 9, "completion_tokens": 4}
        self.answer({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    def answer(self, what):
        payload = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


with open(args.notes, "a") as notes:
    where = {name: os.environ.get(name) for name in ("SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "MINE")}
    notes.write(json.dumps({"pid": os.getpid(), "python": sys.executable} | where) + "\n")
ThreadingHTTPServer((args.host, args.port), Handler).serve_forever()
