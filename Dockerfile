# The commands cyclegan-train, cyclegan-infer and cyclegan-script, for GPUs of NVIDIA and for CPUs.
#
#   docker build -t cyclegan .
#   docker run --rm --gpus all --shm-size 2g --user "$(id -u):$(id -g)" -v "$PWD:/work" cyclegan \
#       cyclegan-train --dataroot datasets/mydata --name mine --display_id 0
#
# Without a GPU leave --gpus out, and build a smaller image with
#   --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
# (cu126 instead of cpu: for GPUs older than compute capability 7.5, or drivers older than CUDA 13)
FROM python:3.12-slim-bookworm

ARG TORCH_INDEX=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1

# --compile needs a compiler, on GPUs too
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# versions are those that pyproject.toml allows
# hadolint ignore=DL3013
RUN pip install "setuptools<81" wheel \
    && pip install torch torchvision --index-url "$TORCH_INDEX" \
    && pip install --no-build-isolation "visdom>=0.2.4"
COPY . /toolkit
RUN pip install --no-build-isolation "/toolkit[evaluation]"

# any user may run it: caches and settings go to a folder that all can write to
ENV HOME=/tmp
WORKDIR /work
CMD ["cyclegan-train", "--help"]
