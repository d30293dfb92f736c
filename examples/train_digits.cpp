// Trains a convolutional network, a small one of two linear layers, or a recurrent one that reads
// row by row, on the handwritten digits of examples/data/digits.csv and saves it as TorchScript, in
// C++ alone: the forward pass is TorchScript source, its parameters are trained in place, and the
// file needs none of this code to be served.
#include <digits.hpp>

#include <ATen/Parallel.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <numbers>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

namespace nn = torch::nn::functional;

constexpr int epochs = 40;
constexpr std::size_t batch_size = 32;
constexpr double peak_rate = 3e-3;

constexpr const char* usage = R"(usage: train_digits [--small | --gru] OUT.pt [SEED [DIGITS.csv]]
  --small     two linear layers instead of two convolutions: a tenth of the work, less often right
  --gru       a recurrent network for one row of 8 pixels after another
  OUT.pt      where to save the TorchScript model: float32 [n, 1, 8, 8] in 0..1 -> logits [n, 10];
              with --gru: pixels [n, 8], state [n, 64] -> logits [n, 10], next [n, 64]
  SEED        initial weights and order of training, default 1; models trained with
              different seeds err on different images, so they make an ensemble
  DIGITS.csv  default examples/data/digits.csv
)";

// The same conv - relu - pool twice, 8x8 -> 4x4 -> 2x2, then one linear layer.
constexpr const char* forward_cnn = R"(
def forward(self, pixels: Tensor) -> Tensor:
    x = torch.conv2d(pixels, self.conv1_weight, self.conv1_bias, padding=[1, 1])
    x = torch.max_pool2d(torch.relu(x), [2, 2])
    x = torch.conv2d(x, self.conv2_weight, self.conv2_bias, padding=[1, 1])
    x = torch.max_pool2d(torch.relu(x), [2, 2])
    return torch.linear(torch.flatten(x, 1), self.linear_weight, self.linear_bias)
)";

constexpr const char* forward_small = R"(
def forward(self, pixels: Tensor) -> Tensor:
    x = torch.linear(torch.flatten(pixels, 1), self.hidden_weight, self.hidden_bias)
    return torch.linear(torch.relu(x), self.linear_weight, self.linear_bias)
)";

constexpr const char* forward_gru = R"(
def forward(self, pixels: Tensor, state: Tensor) -> Dict[str, Tensor]:
    next = torch.gru_cell(pixels, state, self.cell_weight, self.state_weight, self.cell_bias,
                          self.state_bias)
    return {"logits": torch.linear(next, self.linear_weight, self.linear_bias), "next": next}
)";

constexpr std::int64_t gru_units = 64;

struct Kind {
  torch::jit::Module (*make)();
  at::Tensor (*answer)(torch::jit::Module&, const at::Tensor& pixels);
  double smoothing;  // of the labels: few images, so certainty is not rewarded
  double wanted_accuracy;
};

struct Tensors {
  at::Tensor pixels;  // float32 [n, 1, 8, 8], 0..1
  at::Tensor labels;  // int64 [n]
};

Tensors to_tensors(const std::vector<digits::Digit>& all) {
  const auto n = static_cast<std::int64_t>(all.size());
  constexpr auto side = static_cast<std::int64_t>(digits::side);
  Tensors out{torch::empty({n, 1, side, side}), torch::empty({n}, torch::kInt64)};
  auto* pixel = out.pixels.data_ptr<float>();
  auto* label = out.labels.data_ptr<std::int64_t>();
  for (const digits::Digit& digit : all) {
    for (const int ink : digit.pixels) *pixel++ = static_cast<float>(ink) / digits::max_ink;
    *label++ = digit.label;
  }
  return out;
}

// A weight and a bias, uniform in +-1/sqrt(inputs of one output), as torch::nn starts its layers.
void add_layer(torch::jit::Module& net, const std::string& name, at::IntArrayRef shape) {
  const auto outputs = shape[0];
  auto weight = torch::empty(shape);
  const double bound = 1 / std::sqrt(static_cast<double>(weight.numel() / outputs));
  net.register_parameter(name + "_weight", weight.uniform_(-bound, bound), false);
  net.register_parameter(name + "_bias", torch::empty({outputs}).uniform_(-bound, bound), false);
}

torch::jit::Module make_cnn() {
  torch::jit::Module net("Digits");
  add_layer(net, "conv1", {16, 1, 3, 3});
  add_layer(net, "conv2", {64, 16, 3, 3});
  add_layer(net, "linear", {digits::class_count, 64 * 2 * 2});
  net.define(forward_cnn);
  return net;
}

torch::jit::Module make_small() {
  torch::jit::Module net("SmallDigits");
  add_layer(net, "hidden", {32, digits::pixel_count});
  add_layer(net, "linear", {digits::class_count, 32});
  net.define(forward_small);
  return net;
}

torch::jit::Module make_gru() {
  torch::jit::Module net("RecurrentDigits");
  add_layer(net, "cell", {3 * gru_units, static_cast<std::int64_t>(digits::side)});
  add_layer(net, "state", {3 * gru_units, gru_units});
  add_layer(net, "linear", {digits::class_count, gru_units});
  net.define(forward_gru);
  return net;
}

at::Tensor at_once(torch::jit::Module& net, const at::Tensor& pixels) {
  return net.forward({pixels}).toTensor();
}

// What it says after the last row.
at::Tensor row_by_row(torch::jit::Module& net, const at::Tensor& pixels) {
  at::Tensor state = torch::zeros({pixels.size(0), gru_units});
  at::Tensor logits;
  for (std::int64_t row = 0; row < pixels.size(2); ++row) {
    const auto answer = net.forward({pixels.select(1, 0).select(1, row), state}).toGenericDict();
    logits = answer.at("logits").toTensor();
    state = answer.at("next").toTensor();
  }
  return logits;
}

constexpr Kind cnn{make_cnn, at_once, 0.1, 0.97};
constexpr Kind small{make_small, at_once, 0, 0.94};
constexpr Kind gru{make_gru, row_by_row, 0, 0.95};

std::vector<at::Tensor> trainable(const torch::jit::Module& net) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& parameter : net.parameters()) {
    all.push_back(parameter);
    all.back().requires_grad_(true);
  }
  return all;
}

double accuracy(const Kind& kind, torch::jit::Module& net, const Tensors& data) {
  const torch::NoGradGuard no_grad;
  const at::Tensor answers = kind.answer(net, data.pixels).argmax(1);
  return answers.eq(data.labels).to(torch::kFloat64).mean().item<double>();
}

// One pass over the training images in a new order; the mean loss.
double train_epoch(const Kind& kind, torch::jit::Module& net, torch::optim::Optimizer& optimizer,
                   const Tensors& data, std::mt19937_64& rng) {
  const at::Tensor order = torch::arange(data.labels.size(0), torch::kInt64);
  const std::span rows(order.data_ptr<std::int64_t>(), static_cast<std::size_t>(order.numel()));
  digits::shuffle(rows, rng);
  const auto loss_options = nn::CrossEntropyFuncOptions().label_smoothing(kind.smoothing);
  double sum = 0;
  for (const at::Tensor& batch : order.split(batch_size)) {
    const at::Tensor logits = kind.answer(net, data.pixels.index_select(0, batch));
    const at::Tensor loss =
        nn::cross_entropy(logits, data.labels.index_select(0, batch), loss_options);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    sum += loss.item<double>() * static_cast<double>(batch.numel());
  }
  return sum / static_cast<double>(order.numel());
}

void train(const Kind& kind, torch::jit::Module& net, const Tensors& data, const Tensors& held_out,
           std::uint64_t seed) {
  std::mt19937_64 rng(seed);
  torch::optim::Adam optimizer(trainable(net), torch::optim::AdamOptions(peak_rate));
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    // Half a cosine from the peak rate to zero, so that the last epoch is a model to keep.
    const double done = (epoch - 1.0) / epochs;
    auto& options = static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options());
    options.lr(peak_rate * (1 + std::cos(std::numbers::pi * done)) / 2);
    const double loss = train_epoch(kind, net, optimizer, data, rng);
    std::printf("epoch %2d of %d  loss %.4f  held-out accuracy %.4f\n", epoch, epochs, loss,
                accuracy(kind, net, held_out));
    std::fflush(stdout);
  }
}

// Trains on `split` and writes the model to `path`; what was saved is loaded again and judged.
int run(const Kind& kind, const std::string& path, std::uint64_t seed, const digits::Split& split) {
  at::set_num_threads(1);  // rows this small lose by sharing
  torch::manual_seed(seed);
  const Tensors data = to_tensors(split.train);
  const Tensors held_out = to_tensors(split.held_out);
  std::printf("%zu digits to train with, %zu held out (split seed %llu); model seed %llu\n",
              split.train.size(), split.held_out.size(),
              static_cast<unsigned long long>(digits::split_seed),
              static_cast<unsigned long long>(seed));

  const auto start = std::chrono::steady_clock::now();
  torch::jit::Module net = kind.make();
  train(kind, net, data, held_out, seed);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;

  for (at::Tensor parameter : net.parameters()) parameter.requires_grad_(false);
  net.eval();
  const std::string part = path + ".part";  // a reader never sees half a model
  net.save(part);
  torch::jit::Module saved = torch::jit::load(part);
  const double final_accuracy = accuracy(kind, saved, held_out);
  std::printf("held-out accuracy %.4f after %.1f s\n", final_accuracy, took.count());
  if (final_accuracy < kind.wanted_accuracy) {
    std::filesystem::remove(part);
    std::fprintf(stderr, "train_digits: want at least %.2f, nothing saved\n", kind.wanted_accuracy);
    return 1;
  }
  std::filesystem::rename(part, path);
  std::printf("saved %s\n", path.c_str());
  return 0;
}

std::optional<std::uint64_t> parse_seed(std::string_view text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return seed;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view option = argc > 1 ? argv[1] : "";
  const Kind& kind = option == "--small" ? small : option == "--gru" ? gru : cnn;
  if (option == "--small" || option == "--gru") {
    --argc;
    ++argv;
  }
  const auto seed = parse_seed(argc > 2 ? argv[2] : "1");
  if (argc < 2 || argc > 4 || !seed) {
    std::fputs(usage, stderr);
    return 1;
  }
  try {
    digits::Loaded loaded = digits::read(argc > 3 ? argv[3] : "examples/data/digits.csv");
    if (!loaded.error.empty()) throw std::runtime_error(loaded.error);
    return run(kind, argv[1], *seed, digits::split(std::move(loaded.digits)));
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "train_digits: %s\n", error.what_without_backtrace());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_digits: %s\n", error.what());
  }
  return 1;
}
