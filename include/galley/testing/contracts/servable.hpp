// The contract suite for servables: what any model or graph must keep.
#pragma once

#include <galley/core/future.hpp>
#include <galley/core/servable.hpp>
#include <galley/testing/contracts/failure.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Checks that a servable keeps the laws that need no knowledge of what it computes: a row answers
/// alike alone, in a batch, in any order, now and later, and is answered once. Empty when it does.
///
/// `samples` are rows, some of which it may refuse; `same` compares two values, with a tolerance
/// where a model's kernels differ by batch size. `drive` makes what was submitted finish, as by
/// running a manual executor; nothing where it finishes by itself. Rows are asked repeatedly: the
/// servable is deterministic and stateless, and its executors are not shut down meanwhile.
///
/// Threads  blocks until everything submitted was answered
/// Example  tests/contract/servable_test.cpp
template <class In, class Out, class Same = std::equal_to<>>
  requires(std::copy_constructible<In> && std::predicate<Same&, const Out&, const Out&>)
std::vector<ContractFailure> check_servable(const Servable<In, Out>& servable,
                                            std::span<const In> samples, Same same = {},
                                            const std::function<void()>& drive = {});

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class In, class Out, class Same>
class ServableContract {
 public:
  ServableContract(const Servable<In, Out>& servable, std::span<const In> samples, Same same,
                   const std::function<void()>& drive)
      : servable_(servable), samples_(samples), same_(std::move(same)), drive_(drive) {}

  std::vector<ContractFailure> run() {
    about();
    none();
    for (const In& sample : samples_) alone_.push_back(servable_.serve(sample));
    expect_all("equal rows give equal answers",
               [&](std::size_t i) { return servable_.serve(samples_[i]); });
    together();
    permuted();
    repeated();
    submitted();
    submitted_together();
    dropped();
    wrong_keys();
    return std::move(failures_);
  }

 private:
  using Order = std::vector<RowIndex>;

  ContractReport report(std::string_view obligation) { return {failures_, obligation}; }

  bool agree(const Result<Out>& got, const Result<Out>& wanted) {
    if (got.has_value() != wanted.has_value()) return false;
    return got.has_value() ? same_(*got, *wanted) : got.status() == wanted.status();
  }
  static std::string text(const Result<Out>& result) {
    return result.has_value() ? "a value" : to_string(result.error());
  }
  void expect(ContractReport report, std::size_t sample, const Result<Out>& got) {
    const Result<Out>& wanted = alone_[sample];
    if (agree(got, wanted)) return;
    const bool values = got.has_value() && wanted.has_value();
    report.expect(false, "sample " + std::to_string(sample) + ": got " +
                             (values ? "another value" : text(got)) + ", alone " + text(wanted));
  }
  template <class Ask>
  void expect_all(std::string_view obligation, Ask ask) {
    for (std::size_t i = 0; i < samples_.size(); ++i) expect(report(obligation), i, ask(i));
  }
  void expect_order(std::string_view obligation, const Outcomes<Out>& outcomes,
                    const Order& order) {
    if (!report(obligation)
             .expect(outcomes.size() == order.size(), "answered " +
                                                          std::to_string(outcomes.size()) + " of " +
                                                          std::to_string(order.size()) + " rows")) {
      return;
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      expect(report(obligation), order[i], outcomes[i].result());
    }
  }

  Rows<In> rows(const Order& order) const {
    Rows<In> chosen;
    for (RowIndex i : order) chosen.push_back(In(samples_[i]));
    return chosen;
  }
  Order everything() const {
    Order all(samples_.size());
    std::iota(all.begin(), all.end(), RowIndex{0});
    return all;
  }
  void drive() const {
    if (drive_) drive_();
  }

  void about() {
    const Result<void> checked = servable_.check();
    report("check() is ok")
        .expect(checked.has_value(), checked.has_value() ? "" : to_string(checked.error()));
    const Description d = servable_.describe();
    report("a servable describes itself")
        .expect(!d.kind.empty() && d.input == type_name<In>() && d.output == type_name<Out>(),
                "kind \"" + d.kind + "\", from " + d.input + " to " + d.output);
    report("traits are the same at the handle and in the description")
        .expect(d.traits == servable_.traits(), "they differ");
  }
  void none() {
    report("no rows give no outcomes")
        .expect(servable_.serve_rows(Rows<In>()).empty(), "served none, got some");
    const auto answers = std::make_shared<int>(0);
    servable_.submit_rows(Rows<In>(), {}, BatchCompletion<Out>(0, [answers](Outcomes<Out> o) {
                            *answers += o.empty() ? 1 : 100;
                          }));
    drive();
    report("no rows give no outcomes").expect(*answers == 1, "submit answered otherwise");
  }
  void together() {
    const std::string_view what = "a row answers in a batch as alone";
    const Rows<In> all = rows(everything());
    expect_order(what, servable_.serve_rows(all), everything());
    expect_order(what, servable_.serve_rows(rows(everything())), everything());
    for (std::size_t n = 1; n < samples_.size(); ++n) {
      Order part = everything();
      part.erase(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(samples_.size() - n));
      expect_order(what, servable_.serve_rows(rows(part)), part);
    }
  }
  void permuted() {
    Order order = everything();
    for (std::size_t shift = 1; shift < samples_.size() && shift < 4; ++shift) {
      std::rotate(order.begin(), order.begin() + 1, order.end());
      expect_order("a row answers alike in any order", servable_.serve_rows(rows(order)), order);
    }
    Order reversed = everything();
    std::reverse(reversed.begin(), reversed.end());
    expect_order("a row answers alike in any order", servable_.serve_rows(rows(reversed)),
                 reversed);
  }
  void repeated() {
    Order twice;
    for (RowIndex i : everything()) twice.insert(twice.end(), {i, i});
    expect_order("equal rows in one batch answer alike", servable_.serve_rows(rows(twice)), twice);
  }
  void submitted() {
    const std::string_view what = "submit answers once, as serve does";
    struct Heard {
      int answers = 0;
      std::optional<Result<Out>> result;
    };
    std::vector<std::shared_ptr<Heard>> heard;
    for (const In& sample : samples_) {
      auto& one = heard.emplace_back(std::make_shared<Heard>());
      std::promise<void> done;
      std::future<void> wait = done.get_future();
      servable_.submit(In(sample), {}, [one, done = std::move(done)](Result<Out> r) mutable {
        if (++one->answers == 1) {
          one->result.emplace(std::move(r));
          done.set_value();
        }
      });
      drive();
      wait.wait();
    }
    expect_all(what, [&](std::size_t i) { return *heard[i]->result; });
    for (const auto& one : heard) {
      report(what).expect(one->answers == 1, std::to_string(one->answers) + " answers");
    }
  }
  void submitted_together() {
    std::future<Outcomes<Out>> all = submit_rows_future(servable_, rows(everything()));
    drive();
    expect_order("submit_rows answers as serve does", all.get(), everything());
  }
  void dropped() {
    std::vector<std::future<Result<Out>>> futures;
    {
      const std::vector<Servable<In, Out>> handle{servable_};
      const Rows<In> borrowed = rows(everything());
      for (std::size_t i = 0; i < borrowed.size(); ++i) {
        futures.push_back(submit_future(handle[0], In(borrowed[i])));
      }
    }
    drive();
    expect_all("a request in flight owns what it touches",
               [&](std::size_t i) { return futures[i].get(); });
  }
  void wrong_keys() {
    if (samples_.empty()) return;
    const std::vector<Key> keys(2, 0);
    const Result<Out> answer = servable_.serve(samples_[0], {}, CallOptions{.keys = keys});
    report("another number of keys than rows is invalid_argument")
        .expect(answer.status() == Status::invalid_argument, text(answer));
  }

  const Servable<In, Out>& servable_;
  std::span<const In> samples_;
  Same same_;
  const std::function<void()>& drive_;
  std::vector<Result<Out>> alone_;
  std::vector<ContractFailure> failures_;
};

}  // namespace detail

template <class In, class Out, class Same>
  requires(std::copy_constructible<In> && std::predicate<Same&, const Out&, const Out&>)
std::vector<ContractFailure> check_servable(const Servable<In, Out>& servable,
                                            std::span<const In> samples, Same same,
                                            const std::function<void()>& drive) {
  return detail::ServableContract<In, Out, Same>(servable, samples, std::move(same), drive).run();
}

}  // namespace galley::inline v1
