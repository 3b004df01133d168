"""Start the visdom server of trainings: python scripts/serve_visdom.py -port 8097 -bind_local"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from util.sinks.dashboard.serve import serve

if __name__ == "__main__":
    serve()
