#!/usr/bin/env node
import "../dist/effect-nbd.js"
