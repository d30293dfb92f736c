// What is printed for people.
#include <sim/runner.hpp>

#include <array>
#include <cmath>
#include <cstdio>

namespace bench::sim {

namespace {

constexpr int name_width = 36;

/// Three digits of a number from 1 on.
long brief(double value) {
  long unit = 1;
  while (value / static_cast<double>(unit) >= 999.5) unit *= 10;
  return std::lround(value / static_cast<double>(unit)) * unit;
}

std::string us(Duration time) {
  return std::to_string(brief(static_cast<double>(time.count()) / 1000));
}

/// Nothing where there are no batches.
std::string batch_cell(const Figures& figures) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%6.1f", figures.mean_batch);
  return figures.mean_batch > 0 ? text.data() : "      ";
}

std::string latency_cells(const Figures& figures) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), " | %7s %8s ", us(figures.p50).c_str(),
                figures.diverges ? "diverges" : us(figures.p99).c_str());
  return text.data() + batch_cell(figures);
}

std::string closed_cells(const Figures& figures) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), " | %7.0f %8s ", 100 * figures.throughput,
                us(figures.p99).c_str());
  return text.data() + batch_cell(figures);
}

/// Rows by name, each with a cell per column.
class Table {
 public:
  explicit Table(std::vector<Entrant> entrants) : entrants_(std::move(entrants)) {
    cells_.resize(entrants_.size());
  }

  const std::vector<Entrant>& entrants() const { return entrants_; }
  void add(std::size_t row, const std::string& cell) { cells_[row] += cell; }
  void print() const {
    for (std::size_t row = 0; row < cells_.size(); ++row) {
      std::printf("%-*s%s\n", name_width, entrants_[row].name.c_str(), cells_[row].c_str());
    }
  }

 private:
  std::vector<Entrant> entrants_;
  std::vector<std::string> cells_;
};

void print_line(const char* name, const std::string& cells) {
  std::printf("%-*s%s\n", name_width, name, cells.c_str());
}

/// The cells of the floor.
Figures figures_of_floor(const World& world, const std::vector<Duration>& floor) {
  Log log;
  for (std::size_t i = 0; i < floor.size(); ++i) {
    log.requests.push_back({.arrived = world.arrivals[i], .due = Log::never});
    log.answered.push_back(world.arrivals[i] + floor[i]);
  }
  return figures_of(world, log);
}

}  // namespace

void print_latencies(Runner& runner, const Curve& curve, Process process, std::size_t executors) {
  Table table(rivals::batch_policies());
  std::string fixed, bound, hands;
  for (const int percent : {10, 50, 80}) {
    const Scene scene{&curve, process, percent, executors};
    const World world = runner.world(scene, 1);
    const Setting setting = runner.setting(scene);
    std::vector<Duration> floor;
    if (executors == 1) floor = floor_of(world);
    for (std::size_t row = 0; row < table.entrants().size(); ++row) {
      table.add(row, latency_cells(runner.run(world, table.entrants()[row], setting, floor)));
    }
    const BestFixed best = best_fixed(world);
    fixed += latency_cells(best.figures);
    if (executors == 1) bound += latency_cells(figures_of_floor(world, floor));
    hands += std::to_string(percent) + " %: fixed " + std::to_string(best.maximum) + ", Triton " +
             text_of(setting.tuned) + "; ";
  }
  const std::string_view arrive = name_of(process);
  std::printf("\n%s, %.*s arrivals, %zu executor%s, by load: p50, p99 (us), rows a batch\n",
              curve.name().c_str(), static_cast<int>(arrive.size()), arrive.data(), executors,
              executors == 1 ? "" : "s");
  print_line("", " |          10 %           |          50 %           |          80 %");
  table.print();
  print_line("oracle: best fixed maximum", fixed);
  if (!bound.empty()) print_line("oracle: no schedule is below", bound);
  std::printf("set by hindsight: %s\n", hands.substr(0, hands.size() - 2).c_str());
}

void print_closed_loop(Runner& runner, const Curve& curve) {
  Table table(rivals::batch_policies());
  for (const std::size_t clients : {1U, 4U, 32U}) {
    const World world = runner.closed_world(curve, clients);
    const Setting setting = runner.setting({&curve, Process::poisson, 80, 1});
    for (std::size_t row = 0; row < table.entrants().size(); ++row) {
      table.add(row, closed_cells(runner.run(world, table.entrants()[row], setting)));
    }
  }
  std::printf(
      "\n%s, closed loop, by clients: throughput (%% of capacity), p99 (us), rows a batch\n",
      curve.name().c_str());
  print_line("", " |            1            |            4            |           32");
  table.print();
}

void print_goodput(Runner& runner, const Curve& curve) {
  Table table(rivals::admission_policies());
  std::string bound;
  std::array<char, 32> cell;
  for (const Scene& scene :
       {Scene{&curve, Process::poisson, 80}, Scene{&curve, Process::poisson, 120},
        Scene{&curve, Process::poisson, 200}, Scene{&curve, Process::bursty, 95}}) {
    World world = runner.world(scene, 1);
    world.deadlines = true;
    // A tuner looks at a load that can be served.
    const Setting setting = runner.setting({&curve, scene.process, 80});
    for (std::size_t row = 0; row < table.entrants().size(); ++row) {
      const Figures figures = runner.run(world, table.entrants()[row], setting);
      std::snprintf(cell.data(), cell.size(), " | %12.1f", 100 * figures.goodput);
      table.add(row, cell.data());
    }
    std::snprintf(cell.data(), cell.size(), " | %12.1f", 100 * goodput_bound(world));
    bound += cell.data();
  }
  std::printf("\n%s, answers within %lld ms after a cold start, %% of capacity\n",
              curve.name().c_str(), static_cast<long long>(curve.objective().count() / 1'000'000));
  print_line("", " | Poisson 0.8x | Poisson 1.2x |   Poisson 2x | bursty 0.95x");
  table.print();
  print_line("oracle: no schedule is above", bound);
}

}  // namespace bench::sim
