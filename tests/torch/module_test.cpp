// C++ functions and modules as servables, and the threads they run on.
#include <galley/core/executor.hpp>

#include "models.hpp"

#include <ATen/Parallel.h>
#include <torch/nn.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <thread>

#include <support/catch.hpp>

using galley::f32;
using galley::FunctionOptions;
using galley::NamedTensors;
using galley::Outcomes;
using galley::Rows;
using galley::Status;
using galley::Tensor;

extern "C" [[gnu::weak]] int openblas_get_num_threads();

namespace {

FunctionOptions of_two() {
  return {.inputs = {{"x", f32, {2}}}};
}

template <class F>
void on_a_thread(F&& f) {
  std::thread(std::forward<F>(f)).join();
}

}  // namespace

TEST_CASE("a function on LibTorch tensors is a servable", "[torch]") {
  const auto served = galley::torch_function(
      "double", [](const at::Tensor& x) { return x * 2; }, of_two());
  REQUIRE(served.has_value());
  CHECK(served->describe().kind == "torch_function");
  CHECK(*served->serve(models::row({1, 2})) == models::row({2, 4}));
}

TEST_CASE("a function of several tensors takes and gives named rows", "[torch]") {
  const auto served =
      galley::torch_function("both",
                             [](const std::vector<at::Tensor>& in) {
                               return std::vector<at::Tensor>{in[0] + in[1], in[0] - in[1]};
                             },
                             {.inputs = {{"a", f32, {2}}, {"b", f32, {2}}},
                              .outputs = {{"sum", f32, {2}}, {"rest", f32, {2}}}});
  REQUIRE(served.has_value());
  const NamedTensors answer =
      *served->serve(NamedTensors{{"a", models::row({5, 5})}, {"b", models::row({1, 2})}});
  CHECK(*answer.find("sum") == models::row({6, 7}));
  CHECK(*answer.find("rest") == models::row({4, 3}));
}

TEST_CASE("rows reach the model and answers leave it without a copy", "[torch]") {
  struct Seen {
    const void* in = nullptr;
    const void* out = nullptr;
    std::int64_t rows = 0;
    bool inference = false;
  };
  auto seen = std::make_shared<Seen>();
  const auto served = *galley::torch_function(
      "watch",
      [seen](const at::Tensor& x) {
        at::Tensor y = x + 1;
        *seen = {x.data_ptr(), y.data_ptr(), x.size(0), c10::InferenceMode::is_enabled()};
        return y;
      },
      of_two());
  SECTION("a row of LibTorch's") {
    const at::Tensor x = at::ones({1, 2});
    const Tensor answer = *served.serve(models::rows(x)[0]);
    CHECK(seen->in == x.data_ptr());
    CHECK(seen->out == answer.data());
    CHECK(seen->inference);
  }
  SECTION("a row of the host's") {
    const std::vector<float> x{1, 2};
    const Tensor answer = *served.serve(*Tensor::view(x, {2}));
    CHECK(seen->in == x.data());
    CHECK(seen->out == answer.data());
  }
  SECTION("a block of LibTorch's") {
    const at::Tensor x = at::ones({3, 2});
    const Outcomes<Tensor> answers = served.serve_rows(models::rows(x));
    CHECK(seen->in == x.data_ptr());
    CHECK(seen->out == answers.survivors().block()->data());
    CHECK(seen->rows == 3);
  }
  SECTION("a part of a block") {
    const at::Tensor x = at::ones({4, 2});
    const Outcomes<Tensor> answers = served.serve_rows(models::rows(x).slice(1, 2));
    CHECK(seen->in == x.data_ptr<float>() + 2);
    CHECK(answers.size() == 2);
  }
  SECTION("only the good rows of a batch") {
    const Rows<Tensor> rows{models::row({1, 1}), models::row({1}), models::row({2, 2})};
    CHECK(served.serve_rows(rows).survivors().size() == 2);
    CHECK(seen->rows == 2);
  }
}

TEST_CASE("a torch::nn module is a servable in eval mode", "[torch]") {
  torch::nn::Sequential net(torch::nn::Linear(2, 3), torch::nn::BatchNorm1d(3));
  const auto training = galley::torch_module("net", net.ptr(), of_two());
  REQUIRE(training.status() == Status::failed_precondition);
  CHECK(training.error().detail.find("training mode") != std::string::npos);

  net->eval();
  const auto served = galley::torch_module("net", net.ptr(), of_two());
  REQUIRE(served.has_value());
  CHECK(served->describe().kind == "torch_module");
  const at::Tensor x = models::sines({5, 2});
  const torch::NoGradGuard no_grad;
  CHECK(at::allclose(models::torch_of(served->serve_rows(models::rows(x))), net->forward(x), 1e-4,
                     1e-5));
}

TEST_CASE("a module that changes its parameters while it serves is refused", "[torch]") {
  struct Counting {
    at::Tensor count = at::zeros({1});
    at::Tensor forward(const at::Tensor& x) {
      count.add_(1);
      return x + 1;
    }
    std::vector<at::Tensor> parameters() const { return {count}; }
    std::vector<at::Tensor> buffers() const { return {}; }
  };
  const auto served = galley::torch_module("count", std::make_shared<Counting>(), of_two());
  REQUIRE(served.status() == Status::failed_precondition);
  CHECK(served.error().detail.find("changes its own state") != std::string::npos);
}

TEST_CASE("what a function throws is the answer of the rows it throws for", "[torch]") {
  const auto served = *galley::torch_function(
      "picky",
      [](const at::Tensor& x) {
        const float most = x.max().item<float>();
        if (most == 7) throw std::runtime_error("seven");
        if (most == 8) throw 8;  // NOLINT: anything may be thrown
        if (most == 9) throw std::bad_alloc();
        return at::Tensor(x + 1);
      },
      of_two());
  const Rows<Tensor> rows{models::row({1, 1}), models::row({7, 1}), models::row({2, 2}),
                          models::row({8, 1})};
  const Outcomes<Tensor> all = served.serve_rows(rows);
  REQUIRE(all.size() == 4);
  CHECK(*all[0] == models::row({2, 2}));
  CHECK(all[1].status() == Status::internal);
  CHECK(all[1].error().detail.find("seven") != std::string::npos);
  CHECK(*all[2] == models::row({3, 3}));
  CHECK(all[3].status() == Status::internal);
  CHECK(served.serve(models::row({9, 1})).status() == Status::resource_exhausted);
  // Memory that is short is nobody's fault: the batch is not halved.
  const Outcomes<Tensor> full =
      served.serve_rows(Rows<Tensor>{models::row({9, 1}), models::row({1, 1})});
  CHECK(full[0].status() == Status::resource_exhausted);
  CHECK(full[1].status() == Status::resource_exhausted);
}

TEST_CASE("a prepared thread has its own number of threads and leaves the others'", "[torch]") {
  const int here = at::get_num_threads();
  int fresh_before = 0;
  on_a_thread([&] { fresh_before = at::get_num_threads(); });
  const int wanted = here + 3;
  on_a_thread([&] {
    CHECK_FALSE(galley::is_thread_prepared());
    REQUIRE(galley::prepare_thread({.intra_op = wanted}).has_value());
    CHECK(galley::is_thread_prepared());
    at::mm(at::ones({64, 64}), at::ones({64, 64}));
    CHECK(at::get_num_threads() == wanted);
    int within = 0;
    on_a_thread([&] { within = at::get_num_threads(); });
    CHECK(within == fresh_before);
  });
  int fresh_after = 0;
  on_a_thread([&] { fresh_after = at::get_num_threads(); });
  CHECK(fresh_after == fresh_before);
  CHECK(at::get_num_threads() == here);
  CHECK(galley::prepare_thread({.intra_op = 0}).status() == Status::invalid_argument);
}

TEST_CASE("OpenBLAS is capped only where there is one", "[torch]") {
  CHECK(galley::cap_openblas_threads(0).status() == Status::invalid_argument);
  const auto capped = galley::cap_openblas_threads(1);
  if (openblas_get_num_threads == nullptr) {
    CHECK(capped.status() == Status::unimplemented);
  } else {
    CHECK(capped.has_value());
    CHECK(openblas_get_num_threads() == 1);
  }
}

TEST_CASE("prepare sets the threads of a worker and not those of the host", "[torch]") {
  FunctionOptions options = of_two();
  const int fewer = at::get_num_threads() + 1;
  options.threads.intra_op = fewer;
  options.warm_batches = {1, 4};
  auto sizes = std::make_shared<std::vector<std::int64_t>>();
  const auto served = *galley::torch_function(
      "net",
      [sizes](const at::Tensor& x) {
        sizes->push_back(x.size(0));
        return x + 1;
      },
      options);
  sizes->clear();
  on_a_thread([&] {
    REQUIRE(served.prepare().has_value());
    CHECK_FALSE(galley::is_thread_prepared());
  });
  CHECK(*sizes == std::vector<std::int64_t>{1, 1, 4, 4});
  on_a_thread([&] {
    galley::Worker worker(&served, nullptr, 0, nullptr);
    const galley::Worker::Scope scope(worker);
    REQUIRE(served.prepare().has_value());
    CHECK(galley::is_thread_prepared());
    CHECK(at::get_num_threads() == fewer);
  });
}

TEST_CASE("calls on unprepared threads are allowed and counted", "[torch]") {
  const auto served = *galley::torch_function(
      "net", [](const at::Tensor& x) { return x + 1; }, of_two());
  const auto unprepared = [&] {
    galley::TorchStatistics statistics;
    REQUIRE(served.control("", statistics).has_value());
    return statistics.unprepared_calls;
  };
  CHECK(unprepared() == 0);
  on_a_thread([&] {
    CHECK(served.serve(models::row({1, 2})).has_value());
    CHECK(served.serve(models::row({1, 2})).has_value());
  });
  CHECK(unprepared() == 2);
  on_a_thread([&] {
    REQUIRE(galley::prepare_thread().has_value());
    CHECK(served.serve(models::row({1, 2})).has_value());
  });
  CHECK(unprepared() == 2);
  int unknown = 0;
  CHECK(served.control("", unknown).status() == Status::unimplemented);
}
