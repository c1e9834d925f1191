namespace LlamaServe.Bench.Gpu;

/// <summary>Whole models in the engine: one sequence alone, and as many as fit.</summary>
internal sealed class ModelRows(GpuWorker worker)
{
    public async Task AddAsync(ModelCase modelCase)
    {
        GpuRow row = new(Kernel(modelCase), modelCase.Name)
        {
            IsRate = true,
            Goals =
            [
                .. modelCase.TokensPerSecond is { } rate ? [new Goal(GoalOf.Value, rate)] : Array.Empty<Goal>(),
                .. modelCase.OfFloor is { } part ? [new Goal(GoalOf.Floor, part)] : Array.Empty<Goal>(),
            ],
        };
        if (ModelPeers.Of(modelCase) is { } peer)
        {
            row = row with { Peer = ModelPeers.Name(modelCase), PeerCases = [peer.Id] };
        }
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

    private static string Kernel(ModelCase modelCase) => modelCase switch
    {
        { MostPlaces: 1 } => "one sequence, decode",
        { Rounds: > 0 } => "all requests queued, whole run",
        _ => "throughput",
    };

    private async Task MeasureAsync(ServedModel served, ModelCase modelCase, GpuRow row)
    {
        if (modelCase.MostPlaces == 1)
        {
            worker.Journal.Add(row with { Floor = modelCase.Floor(worker.Limits, 1), Value = await served.DecodeAsync() });
        }
        else if (modelCase.Rounds > 0)
        {
            await RunAllAsync(served, modelCase, row);
        }
        else
        {
            await ServeAsync(served, modelCase, row);
        }
    }

    /// <summary>Where the time suffices at the goal's rate.</summary>
    private async Task RunAllAsync(ServedModel served, ModelCase modelCase, GpuRow row)
    {
        int requests = modelCase.Rounds * served.Places;
        double expected = (double)requests * modelCase.NewTokens / (modelCase.TokensPerSecond ?? double.PositiveInfinity);
        TimeSpan left = worker.Deadline.Left;
        if (!worker.Options.Tiny && expected > left.TotalSeconds)
        {
            worker.Journal.Add(row with { Note = $"{GpuRow.NoTime}: {requests} requests take {expected:F0} s at the goal's rate" });
            return;
        }
        row = row with { Floor = modelCase.Floor(worker.Limits, served.Places), Note = $"{requests} requests queued, {served.Places} at a time" };
        worker.Journal.Add(row with { Value = await served.RunAllAsync(requests, left) });
    }

    private async Task ServeAsync(ServedModel served, ModelCase modelCase, GpuRow row)
    {
        List<(int Places, ServingMeasure Measure)> measures = [];
        TimeSpan window = worker.Options.Window / (modelCase.Batches.Count > 1 ? 2 : 1);
        try
        {
            await served.ServeAsync(window, worker.Deadline.Left, (places, measure) => measures.Add((places, measure)));
        }
        catch (TimeoutException) when (measures.Count > 0)
        {
            // The fewer sequences are measured.
        }
        (int best, ServingMeasure measure) = measures
            .OrderByDescending(each => each.Measure.StepSeconds <= (modelCase.StepSeconds ?? double.PositiveInfinity))
            .ThenByDescending(each => each.Measure.TokensPerSecond).First();
        foreach ((int places, ServingMeasure other) in measures.Where(each => each.Places != best))
        {
            worker.Journal.Add(row with { Floor = modelCase.Floor(worker.Limits, places), Value = other.TokensPerSecond, Note = How(places, other), Goals = [], IsDetail = true });
        }
        worker.Journal.Add(row with { Floor = modelCase.Floor(worker.Limits, best), Value = measure.TokensPerSecond, Note = How(best, measure) });
        AddSteps(modelCase, best, measure);
    }

    private void AddSteps(ModelCase modelCase, int places, ServingMeasure measure)
    {
        string how = How(places, measure);
        worker.Journal.Add(new GpuRow("median step", modelCase.Name)
        {
            Floor = places / modelCase.Floor(worker.Limits, places),
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

    private static string How(int places, ServingMeasure measure) => $"{places} sequences, steady for {measure.Seconds:F0} s";
}
