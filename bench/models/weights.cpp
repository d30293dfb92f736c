#include <galley/core/tensor.hpp>
#include <galley/io/safetensors.hpp>
#include <galley/torch/weights.hpp>

#include <support/report.hpp>
#include <support/timing.hpp>

#include <ATen/core/ivalue.h>  // before the other headers of LibTorch, for clang 14
#include <models/cases.hpp>
#include <torch/nn.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bench {

namespace {

using galley::FileAccess;

constexpr const char* other = "other tensors than were written";

/// The words of some memory, summed: every byte is looked at.
std::uint64_t sum_of(const void* data, std::size_t bytes) {
  std::uint64_t sum = 0;
  const auto* at = static_cast<const std::byte*>(data);
  for (std::size_t i = 0; i + sizeof sum <= bytes; i += sizeof sum) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + i, sizeof word);
    sum += word;
  }
  return sum;
}

/// A stack of linear layers, and the file of its weights, removed at the end.
class WeightFile {
 public:
  WeightFile(std::int64_t width, int layers)
      : path_((std::filesystem::temp_directory_path() / "galley_bench.safetensors").string()),
        model(stack(width, layers)) {
    std::string header = "{";
    std::string data;
    for (const auto& item : model->named_parameters()) {
      const at::Tensor& tensor = item.value();
      const std::size_t begin = data.size();
      data.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
      sum_ += sum_of(tensor.data_ptr(), tensor.nbytes());
      std::string shape;
      for (const std::int64_t extent : tensor.sizes()) {
        shape.append(shape.empty() ? "" : ",").append(std::to_string(extent));
      }
      header.append(header.size() == 1 ? "\"" : ",\"").append(item.key());
      header.append(R"(":{"dtype":"F32","shape":[)").append(shape).append("],\"data_offsets\":[");
      header.append(std::to_string(begin) + "," + std::to_string(data.size()) + "]}");
    }
    header.append("}").append((8 - (header.size() + 1) % 8) % 8, ' ');
    std::ofstream out(path_, std::ios::binary);
    for (unsigned i = 0; i < 8; ++i) out.put(static_cast<char>(header.size() >> 8 * i & 0xffU));
    out << header << data;
    bytes_ = 8 + header.size() + data.size();
  }
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;
  ~WeightFile() { std::filesystem::remove(path_); }

  static torch::nn::Sequential stack(std::int64_t width, int layers) {
    torch::nn::Sequential all;
    for (int i = 0; i < layers; ++i) all->push_back(torch::nn::Linear(width, width));
    return all;
  }

  const std::string& path() const { return path_; }
  std::size_t bytes() const { return bytes_; }
  std::uint64_t sum() const { return sum_; }

  /// Reads the file's bytes into fresh memory.
  void read() const {
    const std::unique_ptr<std::byte[]> memory(new std::byte[bytes_]);
    read_into(memory.get());
  }
  /// The same, and looks at each.
  std::uint64_t read_and_touch() const {
    const std::unique_ptr<std::byte[]> memory(new std::byte[bytes_]);
    read_into(memory.get());
    return sum_of(memory.get(), bytes_);
  }
  void read_into(std::byte* memory) const {
    std::ifstream in(path_, std::ios::binary);
    in.read(reinterpret_cast<char*>(memory), static_cast<std::streamsize>(bytes_));
    do_not_optimise(memory);
  }

 private:
  std::string path_;
  std::size_t bytes_ = 0;
  std::uint64_t sum_ = 0;

 public:
  torch::nn::Sequential model;
};

/// The sum over all tensors of the file, once it is loaded; 0 where it is not.
std::uint64_t load_and_touch(const WeightFile& file, FileAccess access) {
  const auto loaded = galley::load_safetensors(file.path(), {.access = access});
  if (!loaded.has_value()) return 0;
  std::uint64_t sum = 0;
  for (const galley::NamedTensor& named : loaded->tensors) {
    sum += sum_of(named.tensor.data(), named.tensor.byte_size());
  }
  return sum;
}

/// Loads the file into a module, whose memory is then all written.
bool load_into(const WeightFile& file, torch::nn::Sequential& module, FileAccess access) {
  const auto loaded = galley::load_safetensors(file.path(), {.access = access});
  return loaded.has_value() && galley::load_weights(*module, loaded->tensors).has_value();
}

void check(Report& report, const WeightFile& file, torch::nn::Sequential& module) {
  std::vector<std::byte> bytes(file.bytes());
  file.read_into(bytes.data());
  report.check(std::filesystem::file_size(file.path()) == bytes.size(), "the file is not whole");
  for (const FileAccess access : {FileAccess::copied, FileAccess::mapped}) {
    report.check(load_and_touch(file, access) == file.sum(), other);
    {
      const torch::NoGradGuard guard;
      for (at::Tensor& parameter : module->parameters()) parameter.zero_();
    }
    report.check(load_into(file, module, access), "the weights do not fit");
    const auto wanted = file.model->parameters();
    const auto got = module->parameters();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      report.check(at::equal(got[i], wanted[i]), "a module of other weights");
    }
  }
}

/// A ratio of large files, which is a matter of their bytes; a difference of small ones.
enum class Said { ratio, difference };

void add_cases(Report& report, std::int64_t width, int layers, std::size_t pairs, Said said) {
  const WeightFile file(width, layers);
  torch::nn::Sequential module = WeightFile::stack(width, layers);
  check(report, file, module);
  const std::string size = std::to_string((file.bytes() + 512) / 1024) + " KiB, " +
                           std::to_string(2 * layers) + " tensors: ";
  const Rounds rounds{.pairs = pairs, .slice = std::chrono::milliseconds(1)};
  const auto add = [&](const std::string& name, const Paired& both, Goal goal) {
    if (said == Said::ratio) {
      report.add({.id = "M9", .name = size + name, .metric = "ratio", .unit = "", .goal = goal},
                 both.ratio);
    } else {
      report.add({.id = "M9", .name = size + name, .metric = "paired difference", .unit = "us"},
                 both.difference.times(1e-3));
    }
  };
  const auto read = [&] { file.read(); };
  const Paired copied = compare(
      [&] { report.check(galley::load_safetensors(file.path()).has_value(), "is not loaded"); },
      read, rounds);
  report.add({.id = "M9", .name = size + "reading the bytes", .metric = "time", .unit = "us"},
             copied.b.times(1e-3));
  add("loaded copied / reading the bytes", copied, Goal::at_most(1.3));
  add("loaded mapped and every byte looked at / read and every byte looked at",
      compare([&] { report.check(load_and_touch(file, FileAccess::mapped) == file.sum(), other); },
              [&] {
                std::uint64_t sum = file.read_and_touch();
                do_not_optimise(sum);
              },
              rounds),
      Goal::at_most(1.3));
  for (const FileAccess access : {FileAccess::copied, FileAccess::mapped}) {
    add(std::string(access == FileAccess::copied ? "copied" : "mapped") +
            ", and then copied into a module / reading the bytes",
        compare([&] { report.check(load_into(file, module, access), other); }, read, rounds), {});
  }
}

}  // namespace

void weight_cases(Report& report) {
  report.say("The file is in the page cache; both sides begin with opening it.");
  add_cases(report, 1024, 16, 100, Said::ratio);
  add_cases(report, 512, 4, 300, Said::ratio);
  report.say("What is there for any file, as a small one shows it:");
  add_cases(report, 64, 2, 1000, Said::difference);
}

}  // namespace bench
