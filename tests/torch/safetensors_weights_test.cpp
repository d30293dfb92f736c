// From a safetensors file into modules: what is read answers as the module it was written from.
#include <galley/io/safetensors.hpp>
#include <galley/torch/weights.hpp>

#include "models.hpp"
#include <support/has.hpp>
#include <support/safetensors.hpp>

#include <torch/nn.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::f32;
using galley::FileAccess;
using galley::load_safetensors;
using galley::load_weights;
using galley::Status;
using support::has;

namespace {

struct File {
  std::string path = "galley_safetensors_weights_test.safetensors";
  explicit File(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::remove(path.c_str()); }
};

/// Two layers with batch normalisation between them, whose buffers are of two dtypes.
torch::nn::Sequential net() {
  torch::nn::Sequential made(torch::nn::Linear(4, 3), torch::nn::BatchNorm1d(3),
                             torch::nn::Linear(3, 2));
  made->eval();
  return made;
}

/// A net with weights that are known.
torch::nn::Sequential trained() {
  torch::nn::Sequential made = net();
  const torch::NoGradGuard guard;
  double step = 0.3;
  for (at::Tensor& tensor : made->parameters()) tensor.copy_(models::sines(tensor.sizes(), step++));
  made->named_buffers()["1.running_mean"].copy_(models::sines({3}, 0.9));
  made->named_buffers()["1.running_var"].fill_(2);
  made->named_buffers()["1.num_batches_tracked"].fill_(7);
  return made;
}

/// As Python's safetensors writes them: by name, their bytes one after the other.
std::string file_of(const torch::nn::Module& module) {
  support::SafetensorsWriter writer;
  writer.metadata(R"("format":"pt")");
  for (const auto& tensors : {module.named_parameters(), module.named_buffers()}) {
    for (const auto& item : tensors) {
      const at::Tensor dense = item.value().detach().contiguous();
      std::string shape;
      for (const std::int64_t extent : dense.sizes()) {
        shape.append(shape.empty() ? "" : ",").append(std::to_string(extent));
      }
      const auto* bytes = static_cast<const char*>(dense.data_ptr());
      writer.bytes(item.key(), dense.scalar_type() == at::kLong ? "I64" : "F32", shape,
                   {bytes, dense.nbytes()});
    }
  }
  return writer.file();
}

at::Tensor answers(torch::nn::Sequential& module) {
  const c10::InferenceMode inference;
  return module->forward(models::sines({5, 4}, 0.4, 1));
}

}  // namespace

TEST_CASE("a module with weights of a safetensors file answers as the one it was written from",
          "[torch]") {
  torch::nn::Sequential written = trained();
  const File file(file_of(*written));
  for (const FileAccess access : {FileAccess::copied, FileAccess::mapped}) {
    torch::nn::Sequential read = net();
    CHECK_FALSE(at::equal(answers(read), answers(written)));
    {
      const auto weights = load_safetensors(file.path, {.access = access});
      REQUIRE(weights.has_value());
      const auto report = load_weights(*read, weights->tensors);
      REQUIRE(report.has_value());
      CHECK(report->fitting.size() == 9);
    }
    CHECK(at::equal(answers(read), answers(written)));  // the file's memory is no longer needed
    CHECK(read->named_buffers()["1.num_batches_tracked"].item<std::int64_t>() == 7);
  }
}

TEST_CASE("a TorchScript file is served with weights of a safetensors file", "[torch]") {
  const torch::jit::Module bare = models::mlp(4);
  support::SafetensorsWriter writer;
  torch::jit::Module wanted = models::mlp(4);
  double step = 0.6;
  for (const auto& buffer : bare.named_buffers()) {
    const at::Tensor values = models::sines(buffer.value.sizes(), step++);
    wanted.setattr(buffer.name, values);
    writer.bytes(buffer.name, "F32", buffer.value.dim() == 2 ? "4,4" : "4",
                 {static_cast<const char*>(values.data_ptr()), values.nbytes()});
  }
  const File file(writer.file());
  galley::ScriptOptions options{.inputs = {{"x", f32, {4}}}};
  options.weights = load_safetensors(file.path)->tensors;
  const auto served = galley::torch_script(models::bytes(bare), options);
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  const at::Tensor batch = models::sines({5, 4}, 0.4, 1);
  const auto outcomes = served->serve_rows(models::rows(batch));
  CHECK(at::equal(models::torch_of(outcomes), models::bare(wanted, batch)));
}

TEST_CASE("a safetensors file of another module changes nothing, and it is said why", "[torch]") {
  support::SafetensorsWriter writer;
  writer.tensor("0.weight", "F32", "3,4", std::vector<float>(12, 1));
  writer.tensor("0.bias", "F16", "3", std::vector<std::uint16_t>(3, 0));
  writer.tensor("3.weight", "F32", "1", std::vector<float>{1});
  const File file(writer.file());
  torch::nn::Sequential module = trained();
  const at::Tensor before = answers(module);
  const auto refused = load_weights(*module, load_safetensors(file.path)->tensors);
  REQUIRE(refused.status() == Status::failed_precondition);
  has(refused.error().detail, "1 fit; missing ");
  has(refused.error().detail, "unexpected \"3.weight\"");
  has(refused.error().detail, "\"0.bias\": expected float32 [3], got float16 [3]");
  CHECK(at::equal(answers(module), before));
}
