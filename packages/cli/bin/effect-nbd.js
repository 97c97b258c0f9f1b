#!/usr/bin/env node
"use strict"
const { load, run } = require("./program.js")

run(load())
