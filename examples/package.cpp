// A compiled package behind a batcher: the rows of four callers are one batch. examples/demo.sh
// trains the network and makes the package, with examples/export_model.py.
#include <galley/compose/batched.hpp>
#include <galley/core/future.hpp>
#include <galley/runtime/thread_pool.hpp>
#include <galley/torch.hpp>

#include <digits.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <future>
#include <thread>
#include <vector>

namespace {

using galley::Result, galley::Tensor;

Tensor image_of(const digits::Digit& digit) {
  std::vector<float> pixels;
  for (const auto ink : digit.pixels) pixels.push_back(static_cast<float>(ink) / digits::max_ink);
  return *Tensor::copy_of(pixels, {1, digits::side, digits::side});
}

/// Kernels differ in the last digits by the size of the batch.
bool alike(const Result<Tensor>& got, const Tensor& alone) {
  return got.has_value() &&
         std::ranges::equal(*got->span<float>(), *alone.span<float>(), [](float a, float b) {
           return std::abs(a - b) <= 1e-5F + 1e-4F * std::abs(b);
         });
}

}  // namespace

int main(int argc, char** argv) {
  const char* path = argc > 1 ? argv[1] : "build/digits_package.pt2";
  const auto net = galley::torch_package(path, {.name = "digits"});
  if (!net.has_value()) {  // not every LibTorch loads packages, nor can every machine export one
    std::printf("nothing to serve: %s\n", to_string(net.error()).c_str());
    const bool none_was_named = argc == 1 && net.status() == galley::Status::not_found;
    return none_was_named || net.status() == galley::Status::unimplemented ? 0 : 1;
  }
  galley::ModelDescription about;
  if (!net->control("", about).has_value()) return 1;
  std::printf("%s", to_string(about).c_str());

  const digits::Loaded data = digits::read("examples/data/digits.csv");
  if (!data.error.empty()) return std::printf("%s\n", data.error.c_str()), 1;
  std::vector<Tensor> images, alone;  // and what the package answers to each by itself
  for (const auto& digit : digits::split(data.digits).held_out) {
    images.push_back(image_of(digit));
    const Result<Tensor> answer = net->serve(images.back());
    if (!answer.has_value()) return std::printf("%s\n", to_string(answer.error()).c_str()), 1;
    alone.push_back(*answer);
  }
  const galley::ThreadPool pool({.workers = 1});
  const auto served = galley::batched(pool, *net);
  if (!served.prepare().has_value()) return 1;
  std::atomic<std::size_t> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      std::vector<std::future<Result<Tensor>>> answers;
      for (const Tensor& image : images) answers.push_back(galley::submit_future(served, image));
      for (std::size_t i = 0; i < images.size(); ++i) {
        if (!alike(answers[i].get(), alone[i])) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  galley::BatchStatistics batches;
  if (!served.control("", batches).has_value()) return 1;
  std::printf(
      "%zu rows of 4 callers, %.1f a batch: %zu answered otherwise than alone\n", 4 * images.size(),
      static_cast<double>(batches.rows) / static_cast<double>(batches.batches), wrong.load());
  return wrong == 0 && batches.rows == 4 * images.size() ? 0 : 1;
}
