// The contract suite for batch types: specialisations of Rows.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/node.hpp>
#include <galley/core/rows.hpp>
#include <galley/testing/contracts/failure.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// Checks that `Rows<T>` keeps the obligations of `RowBatch`, on batches of `samples`. Empty when
/// it does.
///
/// `samples` are three or more rows that differ by `same`, an equality of rows.
///
/// Example  tests/contract/rows_test.cpp
template <class T, class Same = std::equal_to<>>
  requires(Row<T> && std::copy_constructible<T> && std::predicate<Same&, const T&, const T&>)
std::vector<ContractFailure> check_rows(std::span<const T> samples, Same same = {});

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class T, class Same>
class RowsContract {
 public:
  RowsContract(std::span<const T> samples, Same same) : samples_(samples), same_(std::move(same)) {}

  std::vector<ContractFailure> run() {
    if (samples_.size() < 3) {
      report("samples: three or more rows").expect(false, std::to_string(samples_.size()));
      return std::move(failures_);
    }
    building();
    if (!failures_.empty())
      return std::move(failures_);  // the rest would read rows that are not there
    copying();
    selecting();
    slicing();
    concatenating();
    owning();
    viewing();
    return std::move(failures_);
  }

 private:
  using List = std::vector<RowIndex>;  // which samples a batch should hold

  ContractReport report(const char* obligation) { return {failures_, obligation}; }

  Rows<T> made(const List& of) {
    Rows<T> rows;
    for (RowIndex i : of) rows.push_back(T(samples_[i]));
    return rows;
  }
  static List everything(std::size_t n) {
    List all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(static_cast<RowIndex>(i));
    return all;
  }

  template <class R>
  void expect(ContractReport report, const R& rows, const List& of, const char* when) {
    const std::string where = std::string(when) + ": ";
    if (!report.expect(rows.size() == of.size(), where + "held " + std::to_string(rows.size()) +
                                                     " rows instead of " +
                                                     std::to_string(of.size()))) {
      return;
    }
    report.expect(rows.empty() == of.empty(), where + "empty() did not agree with size()");
    for (std::size_t i = 0; i < of.size(); ++i) {
      report.expect(same_(rows[i], samples_[of[i]]),
                    where + "row " + std::to_string(i) + " was another");
    }
  }

  void building() {
    const char* what = "1, 2: push_back builds a batch that reads back, single is a batch of one";
    for (std::size_t n = 0; n <= samples_.size(); ++n) {
      expect(report(what), made(everything(n)), everything(n), "one by one");
      Rows<T> reserved;
      reserved.reserve(n);
      for (std::size_t i = 0; i < n; ++i) reserved.push_back(T(samples_[i]));
      expect(report(what), reserved, everything(n), "after reserve");
    }
    expect(report(what), Rows<T>::single(T(samples_[1])), {1}, "single");
    Rows<T> grown = Rows<T>::single(T(samples_[1]));
    grown.push_back(T(samples_[0]));
    expect(report(what), grown, {1, 0}, "push_back after single");
  }

  void copying() {
    const char* what = "a batch moves and, where it copies, copies independently";
    for (std::size_t n = 0; n <= samples_.size(); ++n) {
      const List all = everything(n);
      Rows<T> first = made(all);
      if constexpr (std::copy_constructible<Rows<T>>) {
        Rows<T> copy = first;
        copy.push_back(T(samples_[0]));
        expect(report(what), first, all, "after its copy grew");
      }
      Rows<T> moved = std::move(first);
      expect(report(what), moved, all, "moved");
      first = made({2, 1});
      expect(report(what), first, {2, 1}, "assigned to after being moved from");
      first = std::move(moved);
      expect(report(what), first, all, "moved by assignment");
    }
  }

  void selecting() {
    const char* what = "3: select gives the named rows in the named order";
    const List all = everything(samples_.size());
    const auto last = static_cast<RowIndex>(samples_.size() - 1);
    for (const List& of : {List{}, List{last}, List{last, 0, 1}, all}) {
      Rows<T> rows = made(all);
      expect(report(what), std::move(rows).select(of, nullptr), of, "at the last use");
    }
    if constexpr (requires(const Rows<T>& r) { r.select(std::span<const RowIndex>(), nullptr); }) {
      const Rows<T> rows = made(all);
      for (const List& of : {List{}, List{0, 0}, List{last, 0, last, 1, 1}, all}) {
        expect(report(what), rows.select(of, nullptr), of, "borrowed");
      }
      expect(report(what), rows, all, "the batch that was selected from");
    }
  }

  void slicing() {
    if constexpr (requires(const Rows<T>& r) { r.slice(0, 0, nullptr); }) {
      const List all = everything(samples_.size());
      const Rows<T> rows = made(all);
      for (std::size_t first = 0; first <= samples_.size(); ++first) {
        for (std::size_t n = 0; first + n <= samples_.size(); ++n) {
          const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
          expect(report("4: slice gives a run of rows"), rows.slice(first, n, nullptr),
                 List(begin, begin + static_cast<std::ptrdiff_t>(n)), "a run");
        }
      }
    }
  }

  void concatenating() {
    const char* what = "5: concatenate gives all rows of the parts in order";
    std::vector<Rows<T>> parts;
    for (const List& of : {List{}, List{0, 1}, List{2}, List{}, List{1, 2, 0}}) {
      parts.push_back(made(of));
    }
    expect(report(what), Rows<T>::concatenate(parts, nullptr), {0, 1, 2, 1, 2, 0}, "five parts");
    expect(report(what), Rows<T>::concatenate({}, nullptr), {}, "no parts");
    std::vector<Rows<T>> one;
    one.push_back(made({2, 0}));
    Rows<T> all = Rows<T>::concatenate(one, nullptr);
    one.clear();
    expect(report(what), all, {2, 0}, "after the parts were destroyed");
  }

  void owning() {
    for (const List& of : {List{}, List{1}, everything(samples_.size())}) {
      Result<Rows<T>> owned = own_rows(made(of));
      ContractReport here = report("6: owned gives the same rows");
      if (here.expect(owned.has_value(), "failed")) expect(here, *owned, of, "owned");
    }
  }

  void viewing() {
    const char* what = "a Batch shows, selects, slices and copies the rows";
    Rows<T> rows = made(everything(samples_.size()));
    const Batch<T> batch(rows);
    if (batch.size() != samples_.size()) return;  // reported by building()
    const auto last = static_cast<RowIndex>(samples_.size() - 1);
    const List places{last, 0};
    expect(report(what), batch, everything(samples_.size()), "all");
    expect(report(what), batch.at_places(places), places, "a selection");
    expect(report(what), batch.at_places(places).to_rows(), places, "a selection made dense");
    expect(report(what), batch.slice(1, 2).to_rows(), {1, 2}, "a slice made dense");
    expect(report(what), Batch<T>::one(samples_[1]).to_rows(), {1}, "one row made dense");
    expect(report(what), batch.to_rows(), everything(samples_.size()), "all made dense");
    expect(report(what), Batch<T>::last_use(rows).slice(1, 2).to_rows(), {1, 2}, "the last use");
  }

  std::span<const T> samples_;
  Same same_;
  std::vector<ContractFailure> failures_;
};

}  // namespace detail

template <class T, class Same>
  requires(Row<T> && std::copy_constructible<T> && std::predicate<Same&, const T&, const T&>)
std::vector<ContractFailure> check_rows(std::span<const T> samples, Same same) {
  return detail::RowsContract<T, Same>(samples, std::move(same)).run();
}

}  // namespace galley::inline v1
