#include <galley/core/tensor_rows.hpp>
#include <galley/torch/script.hpp>
#include <galley/torch/tensor.hpp>

#include <support/models.hpp>
#include <support/timing.hpp>

#include <models/cases.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bench {

namespace {

using Served = galley::Servable<galley::Tensor, galley::Tensor>;

std::span<const std::byte> bytes_of(const std::string& file) {
  return std::as_bytes(std::span(file.data(), file.size()));
}

struct Subject {
  std::string name;
  std::string file;
  std::vector<std::int64_t> row;
};

/// A model with its forms measured, one with each form alone, and the bare frozen module.
struct Rivals {
  Served fastest;
  std::vector<std::string> names;
  std::vector<Served> single;
  std::unique_ptr<Bare> bare;
};

galley::Result<Served> loaded(const Subject& subject, const galley::FormOptions& forms) {
  galley::ScriptOptions options;
  options.name = subject.name;
  options.inputs = {{"x", galley::f32, *galley::Shape::of(subject.row)}};
  options.forms = forms;
  GALLEY_TRY(Served served, galley::torch_script(bytes_of(subject.file), std::move(options)));
  GALLEY_TRY(served.prepare());
  return served;
}

Rivals rivals_of(Report& report, const Subject& subject) {
  auto fastest = loaded(subject, {});
  report.check(fastest.has_value(), subject.name + " could not be loaded");
  Rivals rivals{*std::move(fastest), {}, {}, std::make_unique<Bare>(subject.file, Form::plain)};
  galley::FormProfile profile;
  report.check(rivals.fastest.control("", profile).has_value(), "no profile of the forms");
  for (const auto& form : profile.forms) {
    if (!form.refused.empty()) continue;
    auto one = loaded(subject, {.pinned = form.name});
    report.check(one.has_value(), subject.name + " has no form " + form.name);
    rivals.names.push_back(form.name);
    rivals.single.push_back(*std::move(one));
  }
  for (const auto& [name, says] : rivals.fastest.describe().options) {
    if (name.starts_with("form ") || name == "runs") {
      report.say(subject.name + ", " + name + ": " + says);
    }
  }
  return rivals;
}

/// Times all of them in turn at one size: ratios to the fastest-form servable's time.
void size_case(Report& report, const Subject& subject, Rivals& rivals, std::int64_t rows) {
  const c10::InferenceMode guard;
  std::vector<std::int64_t> sizes{rows};
  sizes.insert(sizes.end(), subject.row.begin(), subject.row.end());
  const at::Tensor input = at::randn(sizes);
  const galley::Rows<galley::Tensor> batch = *galley::rows_from_torch(input);
  Bare& bare = *rivals.bare;
  const at::Tensor wanted = bare(input);
  const auto ask = [&batch](const Served& served) { return served.serve_rows(batch); };
  const auto right = [&wanted](const galley::Outcomes<galley::Tensor>& got) {
    return got.all_ok() &&
           at::allclose(*galley::to_torch(*got.survivors().dense()), wanted, 1e-3, 1e-4);
  };
  const auto timed = [](auto&& operation, std::size_t count) {
    return time_slice(operation, count) / static_cast<double>(count);
  };
  auto run_bare = [&] { static_cast<void>(bare(input)); };
  auto run_fastest = [&] { static_cast<void>(ask(rivals.fastest)); };
  for (int i = 0; i < 3; ++i) run_bare();
  report.check(right(ask(rivals.fastest)), subject.name + ": a wrong answer of the fastest form");
  for (const Served& one : rivals.single) {
    report.check(right(ask(one)), subject.name + ": a wrong answer of a form");
  }
  const std::size_t count =
      std::max<std::size_t>(1, calls_per_slice(run_bare, Rounds().slice * 20));
  constexpr int rounds = 31;
  std::vector<double> gains;
  std::vector<double> of_bare;
  std::vector<std::vector<double>> of_single(rivals.single.size());
  for (int round = 0; round < rounds; ++round) {
    const double fastest = timed(run_fastest, count);
    const double plain = timed(run_bare, count);
    gains.push_back(plain / fastest);
    of_bare.push_back(plain);
    for (std::size_t i = 0; i < rivals.single.size(); ++i) {
      auto run_one = [&] { static_cast<void>(ask(rivals.single[i])); };
      of_single[i].push_back(timed(run_one, count) / fastest);
    }
  }
  const std::string at =
      subject.name + ", " + std::to_string(rows) + (rows == 1 ? " row" : " rows");
  const bool is_image = subject.row.size() > 1;
  Goal goal;
  if (is_image && rows >= 16) goal = Goal::at_least(2.7);
  if (is_image && rows >= 32) goal = Goal::at_least(3.5);
  report.add({.id = rows < 16   ? "M"
                    : rows < 32 ? "M1"
                                : "M2",
              .name = at + ", the bare frozen module (" +
                      std::to_string(static_cast<int>(spread_of(of_bare).median / 1000)) + " us)",
              .metric = "speed-up",
              .unit = "",
              .goal = goal},
             spread_of(gains));
  std::size_t best = 0;
  for (std::size_t i = 1; i < of_single.size(); ++i) {
    if (spread_of(of_single[i]).median < spread_of(of_single[best]).median) best = i;
  }
  report.add({.id = "M3",
              .name = at + ", the best single form: " + rivals.names[best],
              .metric = "speed over",
              .unit = "",
              .goal = Goal::at_least(0.97)},
             spread_of(of_single[best]));
}

/// What lower precision buys: an MLP whose forms may err by `allowed`, beside its equal forms.
constexpr galley::Tolerance allowed{.absolute = 5e-2, .relative = 5e-2};

/// The servables that are compared, and the bare frozen module.
struct Precisions {
  Served equal;
  std::vector<std::string> names;
  std::vector<Served> reduced;
  std::unique_ptr<Bare> bare;
};

std::optional<Precisions> precisions_of(Report& report, const Subject& subject) {
  using galley::Reduction;
  auto equal = loaded(subject, {});
  report.check(equal.has_value(), subject.name + " could not be loaded");
  if (!equal.has_value()) return std::nullopt;
  Precisions all{*std::move(equal), {}, {}, std::make_unique<Bare>(subject.file, Form::galleys)};
  const std::vector<std::vector<Reduction>> choices{{Reduction::bfloat16},
                                                    {Reduction::int8_dynamic}};
  for (const std::vector<Reduction>& tried : choices) {
    auto served = loaded(subject, {.reduced = {.tried = tried, .error = allowed}});
    report.check(served.has_value(), subject.name + " could not be loaded with lower precision");
    if (!served.has_value()) return std::nullopt;
    const std::string name = to_string(tried.front());
    for (const auto& [what, says] : served->describe().options) {
      if (what == "form " + name || what == "runs") {
        report.say(subject.name + ", " + name + " allowed, " + what + ": " + says);
      }
    }
    all.names.push_back(name + " allowed");
    all.reduced.push_back(*std::move(served));
  }
  return all;
}

/// At one size: what each takes, and how far its answers lie from the bare module's.
void precision_case(Report& report, const Subject& subject, Precisions& all, std::int64_t rows) {
  const c10::InferenceMode guard;
  // Like the rows that the error was looked at on.
  const at::Tensor input = at::rand({rows, subject.row.front()}) * 2 - 1;
  const galley::Rows<galley::Tensor> batch = *galley::rows_from_torch(input);
  const at::Tensor wanted = (*all.bare)(input);
  auto run_equal = [&] { static_cast<void>(all.equal.serve_rows(batch)); };
  const std::size_t count =
      std::max<std::size_t>(1, calls_per_slice(run_equal, Rounds().slice * 20));
  constexpr int rounds = 31;
  std::vector<double> plain;
  std::vector<std::vector<double>> times(all.reduced.size());
  for (int round = 0; round < rounds; ++round) {
    plain.push_back(time_slice(run_equal, count) / static_cast<double>(count));
    for (std::size_t i = 0; i < all.reduced.size(); ++i) {
      auto run = [&] { static_cast<void>(all.reduced[i].serve_rows(batch)); };
      times[i].push_back(time_slice(run, count) / static_cast<double>(count));
    }
  }
  const std::string at =
      subject.name + ", " + std::to_string(rows) + (rows == 1 ? " row, " : " rows, ");
  const auto add = [&](const std::string& what, const char* metric, const char* unit) {
    return Line{.id = "M", .name = at + what, .metric = metric, .unit = unit};
  };
  report.add(add("equal forms only", "time", "us"), spread_of(plain).times(1e-3));
  for (std::size_t i = 0; i < all.reduced.size(); ++i) {
    const galley::Outcomes<galley::Tensor> got = all.reduced[i].serve_rows(batch);
    report.check(got.all_ok(), at + "a row that failed with " + all.names[i]);
    if (!got.all_ok()) return;
    const at::Tensor answer = *galley::to_torch(*got.survivors().dense());
    report.check(at::allclose(answer, wanted, allowed.relative, allowed.absolute),
                 at + "an error beyond that of " + all.names[i]);
    report.add(add(all.names[i], "time", "us"), spread_of(times[i]).times(1e-3));
    report.add(add(all.names[i], "largest error", ""),
               (answer - wanted).abs().max().item<double>());
  }
}

}  // namespace

void precision_cases(Report& report) {
  const Subject subject{"MLP 784-512-512-10", mlp_file({784, 512, 512, 10}), {784}};
  std::optional<Precisions> all = precisions_of(report, subject);
  if (!all.has_value()) return;
  for (const std::int64_t rows : {1, 8, 64}) precision_case(report, subject, *all, rows);
}

void form_cases(Report& report) {
  const std::vector<Subject> subjects{{"CNN 1x28x28", cnn_file(), {1, 28, 28}},
                                      {"MLP 784-512-512-10", mlp_file({784, 512, 512, 10}), {784}}};
  for (const Subject& subject : subjects) {
    Rivals rivals = rivals_of(report, subject);
    for (const std::int64_t rows : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}) {
      size_case(report, subject, rivals, rows);
    }
  }
}

}  // namespace bench
