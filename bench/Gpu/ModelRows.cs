namespace LlamaServe.Bench.Gpu;

/// <summary>Whole models in the engine: one sequence alone, and as many as fit.</summary>
internal sealed class ModelRows(GpuWorker worker)
{
    public async Task AddAsync(ModelCase modelCase)
    {
        GpuRow row = new(modelCase.MostPlaces == 1 ? "one sequence, decode" : "throughput", modelCase.Name)
        {
            IsRate = true,
            Goals =
            [
                .. modelCase.TokensPerSecond is { } rate ? [new Goal(GoalOf.Value, rate)] : Array.Empty<Goal>(),
                .. modelCase.OfFloor is { } part ? [new Goal(GoalOf.Floor, part)] : Array.Empty<Goal>(),
            ],
            Peer = modelCase.MostPlaces == 1 ? "transformers BF16" : null,
            PeerCases = modelCase.MostPlaces == 1 ? [ModelPeers.Decode(modelCase.Model).Id] : [],
        };
        if (worker.Deadline.IsOver)
        {
            worker.Journal.Add(row with { Note = GpuRow.NoTime });
            return;
        }
        try
        {
            await using ServedModel served = await ServedModel.StartAsync(worker.Options, modelCase, GpuLimits.FreeBytes(worker.Options));
            await MeasureAsync(served, modelCase, row);
        }
        catch (ArgumentException exception)
        {
            worker.Journal.Add(row with { Note = $"not built: {exception.Message}" });
        }
        catch (Exception exception)
        {
            // Whatever it is, the other rows are worth having.
            worker.Journal.Add(row with { Note = $"{GpuRow.Failed}: {exception.Message}" });
        }
    }

    private async Task MeasureAsync(ServedModel served, ModelCase modelCase, GpuRow row)
    {
        if (modelCase.MostPlaces == 1)
        {
            worker.Journal.Add(row with { Floor = modelCase.Floor(worker.Limits, 1), Value = await served.DecodeAsync() });
            return;
        }
        ServingMeasure measure = await served.ServeAsync(worker.Options.Window, worker.Deadline.Left);
        string how = $"{served.Places} sequences, steady for {measure.Seconds:F0} s";
        worker.Journal.Add(row with { Floor = modelCase.Floor(worker.Limits, served.Places), Value = measure.TokensPerSecond, Note = how });
        worker.Journal.Add(new GpuRow("median step", modelCase.Name)
        {
            Floor = served.Places / modelCase.Floor(worker.Limits, served.Places),
            Value = measure.StepSeconds,
            Note = how,
            Goals = modelCase.StepSeconds is { } step ? [new Goal(GoalOf.Value, step)] : [],
        });
        worker.Journal.Add(new GpuRow("host work of a step", modelCase.Name)
        {
            Value = measure.HostSeconds,
            Note = how,
            Goals = modelCase.HostSeconds is { } host ? [new Goal(GoalOf.Value, host)] : [],
        });
    }
}
