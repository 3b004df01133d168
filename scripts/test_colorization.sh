#!/usr/bin/env bash
# Colours the test images with the run of train_colorization.sh.
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 02_inference.py --dataroot ./datasets/colorization --name color_pix2pix --model colorization "$@"
