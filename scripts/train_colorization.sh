#!/usr/bin/env bash
# Colours for grayscale images, learnt from those of datasets/colorization/train.
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 01_train.py --dataroot ./datasets/colorization --name color_pix2pix --model colorization "$@"
