// The example of README.md, whole: `readme DIGITS.pt` serves a zero, a spoiled image and a one.
#include <galley/core/future.hpp>
#include <galley/galley.hpp>
#include <galley/torch.hpp>

#include <algorithm>
#include <cstdio>
#include <future>
#include <string>
#include <vector>

namespace {

int fail(const galley::Error& error) {
  std::printf("%s\n", galley::to_string(error).c_str());
  return 1;
}

/// Grey levels 0 … 16, row by row.
using Image = std::vector<float>;

galley::Result<galley::Tensor> normalise(const Image& image) {
  Image scaled = image;
  for (float& pixel : scaled) pixel /= 16;
  return galley::Tensor::from(std::move(scaled), {1, 8, 8});
}

galley::Result<int> best_class(const galley::Tensor& scores) {
  GALLEY_TRY(const std::span<const float> s, scores.span<float>());
  return static_cast<int>(std::ranges::max_element(s) - s.begin());
}

int run(const char* path, const galley::Rows<Image>& images) {
  // readme begin
  galley::ThreadPool cpu{{.workers = 2}};
  auto net = galley::torch_script(path, {.inputs = {{"pixels", galley::f32, {1, 8, 8}}}});
  if (!net) return fail(net.error());

  auto digit = galley::map(normalise) | *net | galley::map(best_class);  // Image -> int
  if (auto ready = digit.prepare(); !ready) return fail(ready.error());

  galley::Result<int> one = digit.serve(images[0]);       // one row, on this thread
  galley::Outcomes<int> many = digit.serve_rows(images);  // a batch; a bad row fails alone
  for (std::size_t i = 0; i < many.size(); ++i) {
    std::printf("%s\n", many[i] ? std::to_string(*many[i]).c_str()
                                : galley::to_string(many[i].error()).c_str());
  }

  auto [live, publisher] = galley::slot("digit", digit);  // versions, swapped while they serve
  auto reply = galley::submit_future(galley::on(cpu, live), images[0]);
  if (auto version = publisher.publish(digit); !version) return fail(version.error());
  std::printf("%s\n", reply.get() == one ? "the same" : "different");
  // readme end
  return 0;
}

/// A zero, an image of the wrong size, and a one.
galley::Rows<Image> three_images() {
  return {{0, 0,  5, 13, 9,  1, 0,  0, 0,  0,  13, 15, 10, 15, 5, 0,  0,  3, 15, 2, 0,  11,
           8, 0,  0, 4,  12, 0, 0,  8, 8,  0,  0,  5,  8,  0,  0, 9,  8,  0, 0,  4, 11, 0,
           1, 12, 7, 0,  0,  2, 14, 5, 10, 12, 0,  0,  0,  0,  6, 13, 10, 0, 0,  0},
          Image(63),
          {0,  0, 0, 12, 13, 5,  0,  0,  0,  0, 0, 11, 16, 9,  0,  0,  0,  0,  3, 15, 16, 6,
           0,  0, 0, 7,  15, 16, 16, 2,  0,  0, 0, 0,  1,  16, 16, 3,  0,  0,  0, 0,  1,  16,
           16, 6, 0, 0,  0,  0,  1,  16, 16, 6, 0, 0,  0,  0,  0,  11, 16, 10, 0, 0}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::printf("usage: readme DIGITS.pt\n");
    return 1;
  }
  return run(argv[1], three_images());
}

// runs with: build/digits.pt
// prints:
// 0
// invalid_argument: map: ...
// 1
// the same
