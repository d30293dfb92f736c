// A recurrent network as a servable of sequences: 64 streams of handwritten digits, each read row
// by row, 8 pixels a step. The network takes a state and gives the next one; galley keeps it for
// each stream, and computes the streams' steps together.
#include <galley/compose/batched.hpp>
#include <galley/compose/with_state.hpp>
#include <galley/core/future.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/torch.hpp>

#include <digits.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <future>
#include <vector>

namespace {

using galley::f32;

galley::NamedTensors step(const digits::Digit& digit, std::size_t row) {
  std::vector<float> pixels(digits::side);
  for (std::size_t i = 0; i < digits::side; ++i) {
    pixels[i] = static_cast<float>(digit.pixels[row * digits::side + i]) / digits::max_ink;
  }
  return {{"pixels", *galley::Tensor::copy_of(pixels, {digits::side})}};
}

bool is_right(const galley::Result<galley::NamedTensors>& answer, int label) {
  if (!answer.has_value()) return false;
  const auto logits = answer->find("logits")->span<float>();
  return std::max_element(logits->begin(), logits->end()) - logits->begin() == label;
}

}  // namespace

int main(int argc, char** argv) {
  const digits::Loaded loaded = digits::read("examples/data/digits.csv");
  const std::vector<digits::Digit> held_out = digits::split(loaded.digits).held_out;
  const auto network = galley::torch_script<galley::NamedTensors, galley::NamedTensors>(
      argc > 1 ? argv[1] : "build/digits_gru.pt",
      {.inputs = {{"pixels", f32, {8}}, {"state", f32, {64}}}});
  if (!network.has_value()) {
    std::fprintf(stderr, "gru: %s\n", to_string(network.error()).c_str());
    return 1;
  }
  const galley::ThreadPool pool({.workers = 1});
  const auto streams =
      galley::batched(pool, galley::with_state(*network, {.tensors = {{"state", "next"}}}));

  constexpr std::size_t stream_count = 64;
  std::size_t right = 0;
  for (std::size_t first = 0; first < held_out.size(); first += stream_count) {
    const std::size_t count = std::min(stream_count, held_out.size() - first);
    std::vector<std::future<galley::Result<galley::NamedTensors>>> last;
    for (std::size_t row = 0; row < digits::side; ++row) {
      last.clear();
      for (std::size_t s = 0; s < count; ++s) {  // the steps of a stream queue in their order
        const std::array<galley::Key, 1> key{first + s};
        last.push_back(
            galley::submit_future(streams, step(held_out[first + s], row), {}, {.keys = key}));
      }
    }
    for (std::size_t s = 0; s < count; ++s) {
      right += is_right(last[s].get(), held_out[first + s].label) ? 1 : 0;
    }
  }
  galley::BatchStatistics batches;
  if (!streams.control("", batches).has_value()) return 1;
  const double accuracy = static_cast<double>(right) / static_cast<double>(held_out.size());
  std::printf("read row by row in %zu streams: accuracy %.4f, %.1f steps a batch\n", stream_count,
              accuracy, static_cast<double>(batches.rows) / static_cast<double>(batches.batches));
  return accuracy >= 0.95 ? 0 : 1;
}
