"""nginx answering a constant 202: what one core of C does with the same requests."""

import os
import shutil

from bench.constant import BODY
from bench.servers import Target

CONF = """\
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type application/json;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
  uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 202 '{body}'; }} }}
}}
"""


class Nginx(Target):
    """One worker; the body is read and thrown away."""

    name = "constant, nginx"

    def start(self) -> None:
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise FileNotFoundError("nginx is missing; on Debian or Ubuntu: sudo apt-get install nginx-light")
        user = "user root;" if os.geteuid() == 0 else ""  # else its worker could not write in our directory
        conf = self.directory / "nginx.conf"
        conf.write_text(CONF.format(dir=self.directory, port=self.port, body=BODY.decode(), user=user))
        command = [program, "-p", str(self.directory), "-e", f"{self.directory}/error.log", "-c", str(conf)]
        self.spawn(command, self.port, orphaned="TERM")
