#include <galley/core/tensor_rows.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>

#include <support/models.hpp>
#include <support/timing.hpp>

#include <models/cases.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace bench {

namespace {

using Served = galley::Servable<galley::Tensor, galley::Tensor>;

constexpr const char* folder = "build/bench/";

void write(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// The Python packages of the other side, installed once; true when they are there.
bool have_onnxruntime() {
  return std::system(
             "exec > build/bench/onnx.log 2>&1; export PYTHONPATH=build/bench/onnx; "
             "python3 examples/export_model.py --prepare && "
             "{ build/python/bin/python -c 'import onnx, onnxruntime' || "
             "build/python/bin/python -m pip install --target build/bench/onnx onnxruntime onnx; "
             "}") == 0;
}

/// onnxruntime in a process of its own: bench/models/onnx_side.py.
class Onnx {
 public:
  Onnx(const std::string& model, const std::string& extents) {
    std::signal(SIGPIPE, SIG_IGN);  // where it ends before it should, an answer is missing
    if (std::system("rm -f build/bench/onnx.in && mkfifo build/bench/onnx.in") != 0) return;
    const std::string command =
        "PYTHONPATH=build/bench/onnx build/python/bin/python bench/models/onnx_side.py " + model +
        " " + extents + " < build/bench/onnx.in 2>> build/bench/onnx.log";
    answers_ = ::popen(command.c_str(), "r");
    if (answers_ == nullptr) return;
    orders_.open("build/bench/onnx.in");
    version_ = line();
  }
  Onnx(const Onnx&) = delete;
  Onnx& operator=(const Onnx&) = delete;
  ~Onnx() {
    orders_.close();
    if (answers_ != nullptr) ::pclose(answers_);
    std::remove("build/bench/onnx.in");
  }

  /// "onnxruntime 1.32.0", or nothing where it did not begin.
  const std::string& version() const noexcept { return version_; }

  /// Its answers to these rows; where there are none, NaNs.
  at::Tensor run(const at::Tensor& rows, at::IntArrayRef answer_sizes) {
    const at::Tensor given = rows.contiguous();
    write(
        std::string(folder) + "onnx.rows",
        std::as_bytes(std::span(given.data_ptr<float>(), static_cast<std::size_t>(rows.numel()))));
    orders_ << "run " << folder << "onnx.rows " << folder << "onnx.answers" << std::endl;
    at::Tensor answer = at::full(answer_sizes, std::nan(""), at::kFloat);
    if (line() != "done") return answer;
    std::ifstream file(std::string(folder) + "onnx.answers", std::ios::binary);
    file.read(reinterpret_cast<char*>(answer.data_ptr<float>()),
              static_cast<std::streamsize>(answer.nbytes()));
    return answer;
  }

  /// What a call over the rows that were run last takes, in ns; 0 where it does not say.
  double timed(std::size_t calls) {
    orders_ << "time " << calls << std::endl;
    return std::atof(line().c_str()) * 1e9 / static_cast<double>(calls);
  }

 private:
  std::string line() {
    std::array<char, 256> text{};
    if (answers_ == nullptr || std::fgets(text.data(), text.size(), answers_) == nullptr) return "";
    std::string read = text.data();
    if (!read.empty() && read.back() == '\n') read.pop_back();
    return read;
  }

  std::FILE* answers_ = nullptr;
  std::ofstream orders_;
  std::string version_;
};

struct Subject {
  std::string name;
  std::string short_name;
  std::string file;
  std::vector<std::int64_t> row;
  bool has_goal;
};

galley::Result<Served> loaded(const Subject& subject) {
  galley::ScriptOptions options;
  options.name = subject.name;
  options.inputs = {{"x", galley::f32, *galley::Shape::of(subject.row)}};
  const auto bytes = std::as_bytes(std::span(subject.file.data(), subject.file.size()));
  GALLEY_TRY(Served served, galley::torch_script(bytes, std::move(options)));
  GALLEY_TRY(served.prepare());
  return served;
}

void size_case(Report& report, const Subject& subject, const Served& served, Onnx& onnx,
               std::int64_t rows) {
  const c10::InferenceMode guard;
  std::vector<std::int64_t> sizes{rows};
  sizes.insert(sizes.end(), subject.row.begin(), subject.row.end());
  const at::Tensor input = at::randn(sizes);
  const galley::Rows<galley::Tensor> batch = *galley::rows_from_torch(input);
  const galley::Outcomes<galley::Tensor> answer = served.serve_rows(batch);
  report.check(answer.all_ok(), subject.name + ": no answer");
  if (!answer.all_ok()) return;
  const at::Tensor ours = *galley::to_torch(*answer.survivors().dense());
  const bool is_same = at::allclose(onnx.run(input, ours.sizes()), ours, 1e-3, 1e-4);
  report.check(is_same, subject.name + ": onnxruntime and galley answer differently");
  if (!is_same) return;
  auto ask = [&] { static_cast<void>(served.serve_rows(batch)); };
  const std::size_t calls = std::max<std::size_t>(1, calls_per_slice(ask, Rounds().slice * 100));
  static_cast<void>(onnx.timed(calls));
  constexpr int rounds = 31;
  std::vector<double> of_galley, of_onnx, ratios;
  for (int round = 0; round < rounds; ++round) {
    of_onnx.push_back(onnx.timed(calls));
    if (of_onnx.back() <= 0) return report.check(false, subject.name + ": onnxruntime ended");
    of_galley.push_back(time_slice(ask, calls) / static_cast<double>(calls));
    ratios.push_back(of_galley.back() / of_onnx.back());
  }
  const auto in_us = [](const std::vector<double>& times) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f us", spread_of(times).median / 1000);
    return std::string(text);
  };
  report.add({.id = "M4",
              .name = subject.name + ", " + std::to_string(rows) + (rows == 1 ? " row" : " rows") +
                      ": galley " + in_us(of_galley) + ", " + onnx.version() + " " + in_us(of_onnx),
              .metric = "time ratio",
              .unit = "",
              .goal = subject.has_goal && rows == 32 ? Goal::at_most(1.25) : Goal()},
             spread_of(ratios));
}

}  // namespace

void onnx_cases(Report& report) {
  report.say("onnxruntime for Python is put into build/bench/onnx, where it is not there yet.");
  if (!have_onnxruntime()) {
    return report.say("M4 is left out: no onnxruntime for Python (build/bench/onnx.log says why).");
  }
  report.say("onnxruntime is called from Python, its inputs and outputs bound; one thread each.");
  for (const Subject& subject :
       {Subject{"CNN 1x28x28", "cnn", cnn_file(), {1, 28, 28}, true},
        Subject{"MLP 784-512-512-10", "mlp", mlp_file({784, 512, 512, 10}), {784}, false}}) {
    const std::string path = folder + ("onnx_" + subject.short_name) + ".pt";
    write(path, std::as_bytes(std::span(subject.file.data(), subject.file.size())));
    std::string extents;
    for (const std::int64_t extent : subject.row) extents += std::to_string(extent) + " ";
    Onnx onnx(path, extents);
    if (onnx.version().empty()) {
      report.check(false, subject.name + ": onnxruntime did not begin (build/bench/onnx.log)");
      continue;
    }
    const galley::Result<Served> served = loaded(subject);
    report.check(served.has_value(), subject.name + " could not be loaded");
    if (!served.has_value()) continue;
    for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64}) {
      size_case(report, subject, *served, onnx, rows);
    }
  }
}

}  // namespace bench
