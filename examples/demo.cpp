// Serves real handwritten digits with a real network inside this program: decode, normalise, CNN,
// label. The same images go through a bare LibTorch loop in the same run, and through the same
// network as an AOTInductor package where there is one; all must give the same answers.
#include <galley/galley.hpp>
#include <galley/torch.hpp>

#include <digits.hpp>

#include <ATen/Parallel.h>
#include <torch/script.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using digits::Digit;
using Pixels = std::array<std::uint8_t, digits::pixel_count>;

constexpr int passes = 20;
constexpr std::size_t batch_size = 32;

int fail(const std::string& why) {
  std::printf("%s\n", why.c_str());
  return 1;
}

// ---- the stages: plain functions ---------------------------------------------------------------

/// Reads "0,0,5,13,…": what a client of a digit service might send.
galley::Result<Pixels> decode(const std::string& text) {
  Pixels pixels{};
  std::string_view rest = text;
  for (std::uint8_t& pixel : pixels) {
    const int ink = digits::take_number(rest, digits::max_ink);
    if (ink < 0) {
      return galley::Error(galley::Status::invalid_argument,
                           "expected 64 numbers from 0 to 16, got \"" + text.substr(0, 20) + "…\"");
    }
    pixel = static_cast<std::uint8_t>(ink);
  }
  return pixels;
}

galley::Result<galley::Tensor> normalise(const Pixels& pixels) {
  GALLEY_TRY(galley::Tensor image,
             galley::Tensor::empty(galley::f32, {1, digits::side, digits::side}));
  std::ranges::transform(pixels, image.mutable_data<float>(), [](std::uint8_t ink) {
    return static_cast<float>(ink) / digits::max_ink;
  });
  return image;
}

galley::Result<int> label(const galley::Tensor& scores) {
  GALLEY_TRY(const std::span<const float> s, scores.span<float>());
  return static_cast<int>(std::ranges::max_element(s) - s.begin());
}

// ---- the same without galley -------------------------------------------------------------------

/// What one would write on LibTorch alone; `texts` are decoded into one buffer and run as one
/// batch.
class BareLoop {
 public:
  explicit BareLoop(const std::string& path)
      : module_(torch::jit::freeze(torch::jit::load(path))),
        forward_(module_.get_method("forward")) {}

  std::vector<int> operator()(std::span<const std::string> texts) {
    const c10::InferenceMode guard;
    const auto n = static_cast<std::int64_t>(texts.size());
    std::vector<float> images;
    images.reserve(texts.size() * digits::pixel_count);
    for (const std::string& text : texts) {
      const Pixels pixels = *decode(text);
      for (std::uint8_t ink : pixels) {
        images.push_back(static_cast<float>(ink) / digits::max_ink);
      }
    }
    const at::Tensor batch = torch::from_blob(images.data(), {n, 1, digits::side, digits::side});
    const at::Tensor scores = forward_({batch}).toTensor();
    std::vector<int> labels;
    for (std::int64_t i = 0; i < n; ++i) {
      const float* s = scores.data_ptr<float>() + i * digits::class_count;
      labels.push_back(static_cast<int>(std::max_element(s, s + digits::class_count) - s));
    }
    return labels;
  }

 private:
  torch::jit::Module module_;
  torch::jit::Method forward_;
};

// ---- showing -----------------------------------------------------------------------------------

std::string as_text(const Digit& digit) {
  std::string text;
  for (std::size_t i = 0; i < digit.pixels.size(); ++i) {
    text += (i == 0 ? "" : ",") + std::to_string(digit.pixels[i]);
  }
  return text;
}

void draw(std::span<const Digit> shown, std::span<const int> labels) {
  constexpr std::string_view ink = " .:-=+*#%";
  for (std::size_t y = 0; y < digits::side; ++y) {
    for (const Digit& digit : shown) {
      for (std::size_t x = 0; x < digits::side; ++x) {
        const char c = ink[digit.pixels[y * digits::side + x] / 2u];
        std::printf("%c%c", c, c);
      }
      std::printf("  ");
    }
    std::printf("\n");
  }
  for (std::size_t i = 0; i < shown.size(); ++i) {
    std::printf("%-18s",
                ("is " + std::to_string(shown[i].label) + ", answered " + std::to_string(labels[i]))
                    .c_str());
  }
  std::printf("\n\n");
}

double micros_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

double quantile(std::vector<double>& values, double q) {
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, at);
  return *at;
}

void row(const char* what, std::vector<double> micros, double rows) {
  const double p50 = quantile(micros, 0.5);
  std::printf("  %-26s p50 %8.1f us   p99 %8.1f us   %9.0f rows/s\n", what, p50,
              quantile(micros, 0.99), rows * 1e6 / p50);
}

// ---- the demonstration -------------------------------------------------------------------------

using Service = galley::Servable<std::string, int>;

/// What answers the texts, and how long it took.
struct Timed {
  const char* name;
  std::function<std::size_t(std::span<const std::string>, std::span<const int>)> wrong;
  std::vector<double> one = {};
  std::vector<double> many = {};
};

/// How many of a service's answers are not the labels.
std::size_t wrong_answers(const Service& service, std::span<const std::string> texts,
                          std::span<const int> labels) {
  if (texts.size() == 1) return service.serve(texts[0]).value_or(-1) == labels[0] ? 0 : 1;
  const galley::Outcomes<int> answers = service.serve_rows(texts);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    wrong += answers[i] && *answers[i] == labels[i] ? 0 : 1;
  }
  return wrong;
}

int time_all(std::vector<Timed>& entrants, std::span<const std::string> texts,
             std::span<const int> labels) {
  std::printf("timing, %d passes, taking turns\n", passes);
  std::size_t wrong = 0;
  for (int pass = 0; pass < passes; ++pass) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      for (Timed& it : entrants) {
        it.one.push_back(
            micros_of([&] { wrong += it.wrong(texts.subspan(i, 1), labels.subspan(i, 1)); }));
      }
    }
    for (std::size_t i = 0; i + batch_size <= texts.size(); i += batch_size) {
      for (Timed& it : entrants) {
        it.many.push_back(micros_of([&] {
          wrong += it.wrong(texts.subspan(i, batch_size), labels.subspan(i, batch_size));
        }));
      }
    }
  }
  std::printf("one at a time\n");
  for (const Timed& it : entrants) row(it.name, it.one, 1);
  std::printf("in batches of %zu\n", batch_size);
  for (const Timed& it : entrants) row(it.name, it.many, batch_size);
  return wrong == 0 ? 0 : fail("answers changed while timing");
}

int serve(const Service& service, const Service* package, BareLoop& bare,
          const std::vector<Digit>& held_out) {
  galley::Rows<std::string> texts;
  for (const Digit& digit : held_out) texts.push_back(as_text(digit));

  std::printf("serving %zu held-out images as one batch\n\n", held_out.size());
  const galley::Outcomes<int> answers = service.serve_rows(texts);
  std::size_t right = 0;
  std::vector<int> labels;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) return fail(galley::to_string(answers[i].error()));
    labels.push_back(*answers[i]);
    right += labels[i] == held_out[i].label ? 1 : 0;
  }
  draw(std::span(held_out).first(6), labels);
  const double accuracy = static_cast<double>(right) / static_cast<double>(held_out.size());
  std::printf("accuracy on held-out images: %.4f (%zu of %zu)\n", accuracy, right, held_out.size());
  if (accuracy < 0.97) return fail("that is below 0.97: something is wrong");
  if (bare(texts.span()) != labels) return fail("the bare loop gives other answers");
  if (package != nullptr) {
    if (wrong_answers(*package, texts.span(), labels) != 0) return fail("the package differs");
    std::printf("the AOTInductor package gives the same %zu labels\n", labels.size());
  }

  const galley::Outcomes<int> spoiled =
      service.serve_rows(galley::Rows<std::string>{texts[0], "not,an,image", texts[1]});
  std::printf("a bad row among good ones: %s, \"%s\", %s\n", spoiled[0] ? "answered" : "failed",
              galley::to_string(spoiled[1].error()).c_str(), spoiled[2] ? "answered" : "failed");

  std::vector<Timed> entrants{
      {"TorchScript", [&](auto rows, auto wanted) { return wrong_answers(service, rows, wanted); }},
      {"  bare LibTorch loop", [&](auto rows, auto wanted) -> std::size_t {
         return std::ranges::equal(bare(rows), wanted) ? 0 : 1;
       }}};
  if (package != nullptr) {
    entrants.push_back({"AOTInductor package", [=](auto rows, auto wanted) {
                          return wrong_answers(*package, rows, wanted);
                        }});
  }
  return time_all(entrants, texts.span(), labels);
}

/// The whole graph around a network.
galley::Result<Service> service_of(
    galley::Result<galley::Servable<galley::Tensor, galley::Tensor>> net) {
  if (!net) return net.error();
  Service service = galley::map("decode", decode) | galley::map("normalise", normalise) | *net |
                    galley::map("label", label);
  GALLEY_TRY(service.prepare());
  return service;
}

int run(const std::string& model, const std::string& package, const std::string& data) {
  const digits::Loaded loaded = digits::read(data);
  if (!loaded.error.empty()) return fail(loaded.error);
  const digits::Split split = digits::split(loaded.digits);

  std::printf("loading %s\n", model.c_str());
  const auto service = service_of(galley::torch_script(
      model, {.name = "cnn",
              .inputs = {{"pixels", galley::f32, {1, digits::side, digits::side}}},
              .warm_batches = {1, batch_size}}));
  if (!service) return fail(galley::to_string(service.error()));
  galley::ModelDescription about;
  if (!service->control("cnn", about).has_value()) return fail("no description");
  std::printf("%s\n", galley::to_string(about).c_str());

  BareLoop bare(model);
  if (package.empty()) return serve(*service, nullptr, bare, split.held_out);
  std::printf("loading %s\n", package.c_str());
  const auto packaged =
      service_of(galley::torch_package(package, {.name = "cnn", .warm_batches = {1, batch_size}}));
  if (!packaged) return fail(galley::to_string(packaged.error()));
  return serve(*service, &*packaged, bare, split.held_out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) return fail("usage: demo DIGITS.pt [DIGITS.pt2 [DIGITS.csv]]");
  at::set_num_threads(1);  // for all: this program's choice, not galley's
  try {
    return run(argv[1], argc > 2 ? argv[2] : "", argc > 3 ? argv[3] : "examples/data/digits.csv");
  } catch (const std::exception& e) {  // the bare loop may throw
    return fail(e.what());
  }
}
