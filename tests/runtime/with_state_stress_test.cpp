// Many threads step the same sequences, directly and behind a batcher, while others are started,
// reset and ended: for TSan and ASan.
#include <galley/compose/batched.hpp>
#include <galley/compose/with_state.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using galley::EndSequence;
using galley::Key;
using galley::NamedTensors;
using galley::Result;
using galley::Rows;
using galley::Status;
using galley::Tensor;
using Model = galley::Servable<NamedTensors, NamedTensors>;

namespace {

constexpr std::size_t threads = 6;
constexpr std::size_t each = 200;
constexpr Key shared_keys = 4;

Tensor number(float value) {
  return *Tensor::copy_of(std::vector<float>{value}, {1});
}

/// Counts the steps of each sequence.
Model counting() {
  return Model("count", [](const Rows<NamedTensors>& rows) {
    Rows<NamedTensors> answers(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float next = *rows[i].find("count")->data<float>() + 1;
      answers.push_back({{"steps", number(next)}, {"next", number(next)}});
    }
    return answers;
  });
}

galley::StateOptions options() {
  galley::StateOptions of;
  of.tensors = {{"count", "next", number(0)}};
  return of;
}

Result<NamedTensors> step(const Model& model, Key key) {
  const std::array keys{key};
  return model.serve({{"x", number(1)}}, {}, {.keys = keys});
}

float steps_of(const Result<NamedTensors>& answer) {
  return answer.has_value() ? *answer->find("steps")->data<float>() : -1;
}

/// Each thread steps shared sequences, and one of its own that it ends now and then.
void step_on_threads(const Model& model, const std::string& path) {
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> all;
  for (std::size_t t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      const Key own = 100 + t;
      float steps = 0;
      for (std::size_t i = 0; i < each; ++i) {
        if (!step(model, (t + i) % shared_keys).has_value()) ++wrong;
        if (steps_of(step(model, own)) != ++steps) ++wrong;
        if (i % 16 != 15) continue;
        EndSequence end{own};
        if (!model.control(path, end).has_value()) ++wrong;
        steps = 0;
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  CHECK(wrong == 0);
  float steps = 0;
  for (Key key = 0; key < shared_keys; ++key) steps += steps_of(step(model, key));
  CHECK(steps == static_cast<float>(threads * each + shared_keys));
}

}  // namespace

TEST_CASE("no step of a sequence is lost, whoever makes it", "[with_state][stress]") {
  step_on_threads(galley::with_state(counting(), options()), "");
}

TEST_CASE("no step of a sequence is lost behind a batcher", "[with_state][stress]") {
  const galley::ThreadPool pool({.workers = 2});
  step_on_threads(galley::batched(pool, galley::with_state(counting(), options())),
                  "with_state(count)");
}
