// torch_package: what an AOTInductor package answers as a servable. The packages are exported while
// the tests are built: packages.cmake.
#include <galley/compose/batched.hpp>
#include <galley/core/slot.hpp>
#include <galley/runtime/thread_pool.hpp>

#include "models.hpp"
#include <support/has.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include <support/catch.hpp>

using galley::f32;
using galley::NamedTensors;
using galley::Outcomes;
using galley::PackageOptions;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;

namespace {

namespace fs = std::filesystem;

std::string exported(const std::string& file) {
  return std::string(GALLEY_TEST_PACKAGES) + "/" + file;
}

/// An empty folder, removed at the end; another process that runs this has another.
struct Folder {
  Folder()
      : path(fs::temp_directory_path() /
             ("galley_package_test_" + std::to_string(std::random_device()()))) {
    fs::remove_all(path);
    fs::create_directory(path);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

/// Copies an unpacked package to `folder` and gives the file there whose name ends so.
fs::path copied(const std::string& unpacked, const fs::path& folder, const std::string& end) {
  fs::copy(exported(unpacked), folder, fs::copy_options::recursive);
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.path().string().ends_with(end)) return file.path();
  }
  return {};
}

/// The servable, which must be made.
template <class In = Tensor, class Out = Tensor>
Servable<In, Out> package(const std::string& file, PackageOptions options = {}) {
  auto served = galley::torch_package<In, Out>(exported(file), std::move(options));
  INFO((served.has_value() ? "" : served.error().detail));
  REQUIRE(served.has_value());
  return *std::move(served);
}

torch::jit::Module script(const std::string& file) {
  return torch::jit::load(exported(file));
}

at::Tensor inputs(std::int64_t rows) {
  return models::sines({rows, 16}, 0.37, 1);
}

bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.dtype() == b.dtype() && at::allclose(a, b, 1e-4, 1e-5);
}

/// True when each batch size from 1 to `most` is answered as the module does.
void check_like(const Servable<Tensor, Tensor>& served, const std::string& module,
                std::int64_t most) {
  const torch::jit::Module bare = script(module);
  for (std::int64_t n = 1; n <= most; ++n) {
    const Outcomes<Tensor> answers = served.serve_rows(models::rows(inputs(n)));
    REQUIRE(answers.all_ok());
    CHECK(close(models::torch_of(answers), models::bare(bare, inputs(n))));
  }
}

std::string option(const galley::Description& description, const std::string& key) {
  for (const auto& [name, value] : description.options) {
    if (name == key) return value;
  }
  return "none";
}

}  // namespace

TEST_CASE("a package answers like the module at every batch size", "[torch]") {
  SECTION("of a dynamic batch") {
    check_like(package("first.pt2"), "first.pt", 9);
  }
  SECTION("of a dynamic batch, and more rows than it takes") {
    const auto served = package("first.pt2");
    const Outcomes<Tensor> answers = served.serve_rows(models::rows(inputs(131)));
    REQUIRE(answers.all_ok());
    CHECK(close(models::torch_of(answers), models::bare(script("first.pt"), inputs(131))));
  }
  SECTION("of one size") {
    check_like(package("first_4.pt2"), "first.pt", 13);
  }
  SECTION("of two to five rows") {
    check_like(package("second.pt2"), "second.pt", 13);
  }
  SECTION("of fewer rows than the package allows") {
    check_like(package("first.pt2", {.batch = {2, 3}}), "first.pt", 7);
  }
}

TEST_CASE("one row is answered by a package from whatever memory it lies in", "[torch]") {
  const at::Tensor x = inputs(3);
  const at::Tensor wanted = models::bare(script("first.pt"), x);
  for (const char* file : {"first.pt2", "first_4.pt2"}) {
    const auto served = package(file);
    for (std::int64_t i = 0; i < 3; ++i) {
      const Tensor row = models::rows(x)[static_cast<std::size_t>(i)];
      CHECK(close(models::torch_of(*served.serve(row)), wanted[i]));
      const Tensor copy = *Tensor::copy_of(*row.span<float>(), {16});
      CHECK(close(models::torch_of(*served.serve(copy)), wanted[i]));
    }
    const Rows<Tensor> strided = models::rows(x.t().contiguous().t());
    CHECK(close(models::torch_of(served.serve_rows(strided)), wanted));
    const at::Tensor column = x[0].view({16, 1}).expand({16, 2}).contiguous().select(1, 0);
    REQUIRE_FALSE(column.is_contiguous());
    CHECK(close(models::torch_of(*served.serve(*galley::from_torch(column))), wanted[0]));
  }
}

TEST_CASE("a package says what it takes and gives", "[torch]") {
  const galley::Description first = package("first.pt2", {.runners = 3}).describe();
  CHECK(first.kind == "torch_package");
  CHECK(first.name == "first");
  CHECK(galley::to_string(*first.signature) == "(x: float32 [16] on cpu) -> (0: float32 [8])");
  CHECK(option(first, "batch_min") == "1");
  CHECK(option(first, "batch_max") == "64");
  CHECK(option(first, "runners") == "3");
  // Of 608: Inductor makes constants of up to eight elements, the last bias, part of the code.
  CHECK(option(first, "parameters") == "600");
  CHECK(option(first, "bytes") == "2400");
  galley::ModelDescription about;
  REQUIRE(package("first.pt2", {.runners = 3}).control("", about).has_value());
  CHECK(about.format == galley::ModelFormat::aot_inductor);
  REQUIRE(about.package.has_value());
  CHECK((about.package->batch == galley::PackageBatch{1, 64}));
  CHECK(about.package->runners == 3);
  CHECK(about.package->device == "cpu");
  CHECK(about.package->libtorch.starts_with(about.libtorch));
  CHECK(about.constants.elements == 600);
  CHECK((about.runs == std::vector<galley::FormRange>{{1, "package first.pt2"}}));
  support::has(to_string(about), "\nbatch       1 to 64 rows, 3 runners\n");
  const galley::Description fixed = package("first_4.pt2", {.name = "four"}).describe();
  CHECK(fixed.name == "four");
  CHECK(option(fixed, "batch_min") == "4");
  CHECK(option(fixed, "batch_max") == "4");
  const auto parts = package<NamedTensors, NamedTensors>("parts.pt2").describe();
  CHECK(galley::to_string(*parts.signature) ==
        "(weights: float64 [4] on cpu, flags: bool [4] on cpu, ids: int64 [?] on cpu) -> "
        "(scores: float64 [4], ids: int64 [?], half: bfloat16 [4])");
}

TEST_CASE("a package of several inputs and outputs of several types answers by name", "[torch]") {
  const auto served = package<NamedTensors, NamedTensors>("parts.pt2");
  torch::jit::Module bare = script("parts.pt");
  const c10::InferenceMode inference;
  Rows<NamedTensors> rows;
  std::vector<std::vector<at::Tensor>> batches;
  for (std::int64_t i = 0; i < 7; ++i) {
    const std::int64_t length = 3 + i % 2 * 4;  // two lengths, which run apart
    batches.push_back({models::sines({1, 4}, 0.3 + static_cast<double>(i)).to(at::kDouble),
                       models::sines({1, 4}, 1.3 + static_cast<double>(i)) > 0,
                       (at::arange(length) + i).remainder(10).view({1, length})});
    rows.push_back({{"weights", models::rows(batches.back()[0])[0]},
                    {"flags", models::rows(batches.back()[1])[0]},
                    {"ids", models::rows(batches.back()[2])[0]}});
  }
  const Outcomes<NamedTensors> answers = served.serve_rows(rows);
  REQUIRE(answers.all_ok());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto wanted = bare.forward({batches[i][0], batches[i][1], batches[i][2]}).toGenericDict();
    for (const char* name : {"scores", "ids", "half"}) {
      const at::Tensor part = wanted.at(name).toTensor()[0];
      const NamedTensors answer = *answers[i];
      CHECK(close(models::torch_of(*answer.find(name)), part));
    }
  }
}

TEST_CASE("bad rows fail alone before a package sees them", "[torch]") {
  for (const char* file : {"first.pt2", "first_4.pt2"}) {
    const auto served = package(file);
    const at::Tensor x = inputs(3);
    const Rows<Tensor> good = models::rows(x);
    const Rows<Tensor> rows{good[0],  models::row({1, 2, 3}),
                            good[1],  *Tensor::copy_of({1.0, 2.0}, {2}),
                            Tensor(), good[2]};
    const Outcomes<Tensor> all = served.serve_rows(rows);
    REQUIRE(all.size() == 6);
    for (const std::size_t bad : {1U, 3U, 4U}) {
      REQUIRE(all[bad].status() == Status::invalid_argument);
      support::has(all[bad].error().detail, "input \"x\": expected float32 [16]");
    }
    const at::Tensor wanted = models::bare(script("first.pt"), x);
    CHECK(close(models::torch_of(*all[0]), wanted[0]));
    CHECK(close(models::torch_of(*all[2]), wanted[1]));
    CHECK(close(models::torch_of(*all[5]), wanted[2]));
  }
}

TEST_CASE("what is declared of a package must agree with what it says", "[torch]") {
  const auto refused = [](PackageOptions options, const std::string& why) {
    const auto served = galley::torch_package(exported("first.pt2"), std::move(options));
    REQUIRE(served.status() == Status::failed_precondition);
    support::has(served.error().detail, why);
  };
  refused({.inputs = {{"x", galley::f64, {16}}}}, "is declared float64 [16]");
  refused({.inputs = {{"x", f32, {galley::any}}}}, "is declared float32 [?]");
  refused({.inputs = {{"x", f32, {16}}, {"y", f32, {16}}}}, "2 inputs are declared");
  refused({.outputs = {{"y", f32, {9}}}}, "output \"y\" is declared float32 [9]");
  refused({.batch = {1, 65}}, "expected sizes within the package's 1 to 64, got 1 to 65");
  refused({.batch = {5, 4}}, "expected 1 <= min <= max");
  refused({.model = "other"}, "expected a model \"other\" in the package, it has (model)");
  const auto renamed =
      package("first.pt2", {.inputs = {{"pixels", f32, {16}}}, .outputs = {{"scores", f32, {8}}}});
  CHECK(galley::to_string(*renamed.describe().signature) ==
        "(pixels: float32 [16] on cpu) -> (scores: float32 [8])");
}

TEST_CASE("a package that changes its own weights is refused", "[torch]") {
  const auto served = galley::torch_package(exported("counting.pt2"));
  REQUIRE(served.status() == Status::failed_precondition);
  support::has(served.error().detail, "changes its own state");
}

TEST_CASE("a package's unpacked files are gone once it is loaded", "[torch]") {
  const Folder folder;
  const auto served = package("first.pt2", {.unpack_in = folder.path.string()});
  CHECK(fs::is_empty(folder.path));
  check_like(served, "first.pt", 2);
  SECTION("and where it is refused after it was unpacked") {
    const auto refused =
        galley::torch_package(exported("counting.pt2"), {.unpack_in = folder.path.string()});
    CHECK_FALSE(refused.has_value());
    CHECK(fs::is_empty(folder.path));
  }
  SECTION("where there is no such folder, it is refused") {
    const auto nowhere = galley::torch_package(exported("first.pt2"), {.unpack_in = "/nowhere"});
    REQUIRE(nowhere.status() == Status::failed_precondition);
    support::has(nowhere.error().detail, "/nowhere");
  }
}

TEST_CASE("two packages are loaded at once from two threads", "[torch]") {
  for (int round = 0; round < 4; ++round) {
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (const std::string name : {"first", "second"}) {
      threads.emplace_back([&right, name] {
        const auto served = galley::torch_package(exported(name + ".pt2"));
        if (!served.has_value()) return;
        const Outcomes<Tensor> answers = served->serve_rows(models::rows(inputs(3)));
        const at::Tensor wanted = models::bare(script(name + ".pt"), inputs(3));
        if (answers.all_ok() && close(models::torch_of(answers), wanted)) ++right;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(right == 2);
  }
}

TEST_CASE("several threads call one package, more than it has runners", "[torch]") {
  const auto served = package("first.pt2", {.runners = 2});
  const at::Tensor wanted = models::bare(script("first.pt"), inputs(8));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Rows<Tensor> rows = models::rows(inputs(8));
      for (int call = 0; call < 200; ++call) {
        const auto i = static_cast<std::size_t>((call + t) % 8);
        const auto answer = served.serve(rows[i]);
        const bool right = answer.has_value() &&
                           close(models::torch_of(*answer), wanted[static_cast<std::int64_t>(i)]);
        if (!right) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("rows of many callers share a package's batches", "[torch]") {
  const galley::ThreadPool pool({.workers = 2});
  const auto served = galley::batched(pool, package("first_4.pt2"));
  REQUIRE(served.prepare(pool).has_value());
  const at::Tensor wanted = models::bare(script("first.pt"), inputs(8));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Rows<Tensor> rows = models::rows(inputs(8));
      for (int call = 0; call < 50; ++call) {
        const auto i = static_cast<std::size_t>((call + t) % 8);
        const auto answer = served.serve(call % 7 == 0 ? models::row({1}) : rows[i]);
        const bool right = call % 7 == 0
                               ? answer.status() == Status::invalid_argument
                               : answer.has_value() && close(models::torch_of(*answer),
                                                             wanted[static_cast<std::int64_t>(i)]);
        if (!right) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("new weights are published as a package while the old one serves", "[torch]") {
  const at::Tensor x = inputs(1);
  const at::Tensor old_answer = models::bare(script("first.pt"), x)[0];
  const at::Tensor new_answer = models::bare(script("second.pt"), x)[0];
  REQUIRE_FALSE(close(old_answer, new_answer));
  auto [served, publisher] = galley::slot("net", package("first.pt2"));
  const Rows<Tensor> rows = models::rows(x);
  CHECK(close(models::torch_of(*served.serve(rows[0])), old_answer));

  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, servable = served] {
      bool seen_new = false;
      while (!stop) {
        const auto answer = servable.serve(rows[0]);
        const bool is_new = answer.has_value() && close(models::torch_of(*answer), new_answer);
        const bool is_old =
            !is_new && answer.has_value() && close(models::torch_of(*answer), old_answer);
        if (!is_new && !(is_old && !seen_new)) ++wrong;
        seen_new = seen_new || is_new;
        ++calls;
      }
    });
  }
  while (calls < 20) std::this_thread::yield();
  REQUIRE(publisher.publish(package("second.pt2")).has_value());
  const int before = calls;
  while (calls < before + 20) std::this_thread::yield();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(close(models::torch_of(*served.serve(rows[0])), new_answer));
}

TEST_CASE("an answer outlives the package it came from", "[torch]") {
  Tensor answer;
  {
    const auto served = package("first.pt2");
    answer = *served.serve(models::rows(inputs(1))[0]);
  }
  CHECK(close(models::torch_of(answer), models::bare(script("first.pt"), inputs(1))[0]));
}

TEST_CASE("a package serves from the folder it was unpacked to, which stays", "[torch]") {
  for (const char* folder : {"first_unpacked", "first_unpacked/first"}) {
    const auto served = package(folder);
    check_like(served, "first.pt", 3);
  }
  CHECK(fs::exists(exported("first_unpacked/first/data")));
}

TEST_CASE("a module's packages are forms of it", "[torch]") {
  galley::ScriptOptions options{.inputs = {{"x", f32, {16}}}};
  options.forms = {
      .packages = {exported("first.pt2"), exported("first_4.pt2"), exported("second.pt2"),
                   exported("parts.pt2"), exported("missing.pt2")},
      .sizes = {1, 4}};
  const auto profile_of = [](const Servable<Tensor, Tensor>& served) {
    REQUIRE(served.prepare().has_value());
    galley::FormProfile profile;
    REQUIRE(served.control("", profile).has_value());
    std::map<std::string, galley::FormProfile::Form> forms;
    for (const auto& form : profile.forms) forms[form.name] = form;
    return forms;
  };
  SECTION("beside a script, timed where they answer the same, else refused") {
    const auto served = *galley::torch_script(exported("first.pt"), options);
    auto forms = profile_of(served);
    for (const char* same : {"package first.pt2", "package first_4.pt2"}) {
      CHECK(forms[same].refused.empty());
      CHECK(forms[same].costs.size() == 2);
    }
    support::has(forms["package second.pt2"].refused, "output \"0\"");
    support::has(forms["package parts.pt2"].refused, "1 inputs are declared, the package has 3");
    support::has(forms["package missing.pt2"].refused, "no such file");
    check_like(served, "first.pt", 9);
  }
  SECTION("and may be pinned") {
    for (const char* form : {"package first.pt2", "package first_4.pt2"}) {
      options.forms.pinned = form;
      const auto served = *galley::torch_script(exported("first.pt"), options);
      REQUIRE(served.prepare().has_value());
      check_like(served, "first.pt", 9);
    }
    options.forms.pinned = "package second.pt2";
    const auto served = *galley::torch_script(exported("first.pt"), options);
    CHECK(served.prepare().status() == Status::failed_precondition);
  }
  SECTION("beside another package") {
    const auto served =
        package("first.pt2", {.forms = {.packages = {exported("first_4.pt2")}, .sizes = {1, 4}}});
    auto forms = profile_of(served);
    CHECK(forms.size() == 2);
    CHECK(forms["package first_4.pt2"].costs.size() == 2);
    check_like(served, "first.pt", 9);
  }
}

TEST_CASE("a package that says nothing of itself is what it is declared to be", "[torch]") {
  PackageOptions options{.inputs = {{"x", f32, {16}}}, .batch = {1, 64}};
  const auto served = [&options](const std::string& unpacked) {
    const Folder folder;
    std::ofstream(copied(unpacked, folder.path, "wrapper_metadata.json"))
        << "{\"AOTI_DEVICE_KEY\": \"cpu\"}";
    return galley::torch_package(folder.path.string(), options);
  };
  check_like(*served("first_unpacked"), "first.pt", 5);
  SECTION("unless it turns out that it takes another number of rows") {
    const auto refused = served("first_4_unpacked");
    REQUIRE(refused.status() == Status::failed_precondition);
    support::has(refused.error().detail, "expected 64 rows, got 4");
    options.batch = {4, 4};
    check_like(*served("first_4_unpacked"), "first.pt", 5);
  }
  SECTION("and not known without") {
    options.batch = {};
    CHECK(served("first_unpacked").status() == Status::failed_precondition);
    options.batch = {1, 64};
    options.inputs = {};
    const auto refused = served("first_unpacked");
    REQUIRE(refused.status() == Status::failed_precondition);
    support::has(refused.error().detail, "its inputs are not known");
  }
}

TEST_CASE("a package whose shared object ends too early is refused", "[torch]") {
  for (const double part : {0.0, 0.001, 0.1, 0.5, 0.9, 0.999}) {
    const Folder folder;
    const fs::path object = copied("first_unpacked", folder.path, ".so");
    const auto size = static_cast<double>(fs::file_size(object));
    fs::resize_file(object, static_cast<std::uintmax_t>(part * size));
    const auto refused = galley::torch_package(folder.path.string());
    REQUIRE(refused.status() == Status::data_loss);
    support::has(refused.error().detail, "is damaged");
  }
}
