"""An Inference Endpoint on localhost, which serves a repository as the platform does.

    python tests/endpoint.py FOLDER

It prints its address when the handler is ready. A POST takes JSON or an image, and the query adds
parameters (huggingface-inference-toolkit, webservice_starlette.py). It calls the handler in up to
40 threads; the platform, unless told otherwise, in one.
"""

import importlib.util
import io
import json
import socket
import sys

import orjson
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def predict(request: Request) -> Response:
    try:
        content = await request.body()
        if request.headers["content-type"].startswith("image/"):
            body = {"inputs": Image.open(io.BytesIO(content)).convert("RGB")}
        else:
            body = json.loads(content)
        if "inputs" not in body:
            raise ValueError("Body needs to provide a inputs key")
        if request.query_params and "parameters" not in body:
            body["parameters"] = dict(request.query_params)
        answer = await run_in_threadpool(handler, body)
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
    except Exception as error:
        return JSONResponse({"error": str(error)}, 400)


if __name__ == "__main__":
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("handler", f"{folder}/handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = module.EndpointHandler(folder)
    app = Starlette(routes=[Route("/", predict, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listener])
