#!/usr/bin/env bash
# Translates the test pairs with the run of train_pix2pix.sh.
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 02_inference.py --dataroot ./datasets/facades --name facades_pix2pix --model pix2pix \
    --netG unet_256 --direction BtoA --dataset_mode aligned --norm batch "$@"
