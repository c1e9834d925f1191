namespace LlamaServe.Bench.Gpu;

/// <summary>Whole models in the engine: one sequence alone, and as many as fit.</summary>
internal sealed class ModelRows(GpuOptions options, GpuLimits limits, long deviceBytes, GpuDeadline deadline, List<GpuRow> rows)
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
        if (deadline.IsOver)
        {
            rows.Add(row with { Note = "no time left" });
            return;
        }
        try
        {
            await using ServedModel served = await ServedModel.StartAsync(options, modelCase, deviceBytes);
            await MeasureAsync(served, modelCase, row);
        }
        catch (ArgumentException exception)
        {
            rows.Add(row with { Note = $"not built: {exception.Message}" });
        }
        catch (Exception exception)
        {
            // Whatever it is, the other rows are worth having.
            rows.Add(row with { Note = $"FAILED: {exception.Message}" });
        }
    }

    private async Task MeasureAsync(ServedModel served, ModelCase modelCase, GpuRow row)
    {
        if (modelCase.MostPlaces == 1)
        {
            rows.Add(row with { Floor = modelCase.Floor(limits, 1), Value = await served.DecodeAsync() });
            return;
        }
        ServingMeasure measure = await served.ServeAsync(options.Window, deadline.Left);
        string how = $"{served.Places} sequences, steady for {measure.Seconds:F0} s";
        rows.Add(row with { Floor = modelCase.Floor(limits, served.Places), Value = measure.TokensPerSecond, Note = how });
        rows.Add(new GpuRow("median step", modelCase.Name)
        {
            Floor = served.Places / modelCase.Floor(limits, served.Places),
            Value = measure.StepSeconds,
            Note = how,
            Goals = modelCase.StepSeconds is { } step ? [new Goal(GoalOf.Value, step)] : [],
        });
        rows.Add(new GpuRow("host work of a step", modelCase.Name)
        {
            Value = measure.HostSeconds,
            Note = how,
            Goals = modelCase.HostSeconds is { } host ? [new Goal(GoalOf.Value, host)] : [],
        });
    }
}
