// The door to the io layer: what galley writes to files and reads from them.
#pragma once

#include <galley/io/batch_profile.hpp>
#include <galley/io/chrome_trace.hpp>
#include <galley/io/form_profile.hpp>
#include <galley/io/graph.hpp>
#include <galley/io/mermaid.hpp>
#include <galley/io/model_description.hpp>
#include <galley/io/safetensors.hpp>
