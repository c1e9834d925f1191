using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>One training from text to snapshot: resumes from its checkpoint, evaluates, cools down, exports.</summary>
internal sealed class TrainingRun : IDisposable
{
    private const int LogEvery = 25, EvaluateEvery = 250;

    private readonly TrainingRecipe _recipe;
    private readonly TrainingOptions _options;
    private readonly TextWriter _log;
    private readonly TaleCorpus _corpus;
    private readonly BytePairVocabulary _vocabulary;
    private readonly TokenStream _training;
    private readonly TorchLlama _model;
    private readonly MuonOptimizer _optimizer;
    private readonly TrainingCheckpoint _checkpoint;

    public TrainingRun(TrainingRecipe recipe, TrainingOptions options, TextWriter log)
    {
        (_recipe, _options, _log) = (recipe, options, log);
        set_num_threads(options.Threads);
        random.manual_seed(1);
        _corpus = TaleCorpus.Load(options.Data);
        _vocabulary = BytePairTrainer.Train(_corpus.Training, recipe.Shape.VocabularySize);
        _training = new TokenStream(_corpus.Training, _vocabulary, recipe.Shape.MaxPositions);
        _model = new TorchLlama(recipe.Shape with { VocabularySize = _vocabulary.Size }, recipe.ComputeType, recipe.Dropout);
        _optimizer = new MuonOptimizer(_model.Parameters, recipe.ComputeType);
        _checkpoint = new TrainingCheckpoint(options.Checkpoints, _model, _optimizer);
        long parameters = _model.Parameters.Values.Sum(parameter => parameter.numel());
        Log($"{_corpus.Training.Count} tales, {_training.Length} tokens, {_vocabulary.Size} in the vocabulary, {parameters} parameters");
    }

    /// <summary>Trains to the end, writes the snapshot and forgets the checkpoint.</summary>
    public HeldOutLoss Run()
    {
        int cooldownSteps = (int)(_options.Cooldown / _recipe.TokensPerStep);
        int plateauSteps = (int)(_options.Tokens / _recipe.TokensPerStep) - cooldownSteps;
        (int step, int cooldownStart) = _checkpoint.TryRestore() ?? (0, plateauSteps);
        var schedule = new LearningRateSchedule(_recipe.WarmupSteps, cooldownStart, cooldownSteps);
        var watch = Stopwatch.StartNew();
        while (!schedule.IsOver(step))
        {
            if (_checkpoint.IsFinishRequested)
            {
                schedule.CoolDownFrom(step);
            }
            float loss = Train(step++, schedule);
            if (step % LogEvery == 0)
            {
                Log($"step {step}, {(long)step * _recipe.TokensPerStep} tokens, loss {loss:F3}, " +
                    $"{LogEvery * _recipe.TokensPerStep / watch.Elapsed.TotalSeconds:F0} tokens/s");
                _checkpoint.Save(step, schedule.CooldownStart);
                watch.Restart();
            }
            if (step % EvaluateEvery == 0)
            {
                Evaluate();
                watch.Restart();
            }
        }
        HeldOutLoss final = Evaluate();
        SnapshotWriter.Write(_options.Output, _model, _vocabulary);
        _checkpoint.Clear();
        return final;
    }

    /// <summary>What the model makes of a prompt as it is now.</summary>
    public string Sample(string prompt, int tokens, int seed) =>
        new TaleSampler(_model, _vocabulary, seed).Continue(prompt, tokens);

    public void Dispose() => _model.Dispose();

    private float Train(int step, LearningRateSchedule schedule)
    {
        // Half the context costs less attention; every fourth step trains the full one.
        int length = step % 4 == 0 ? _recipe.Shape.MaxPositions : _recipe.Shape.MaxPositions / 2;
        using DisposeScope scope = NewDisposeScope();
        _model.Training = true;
        (Tensor inputs, Tensor targets) = _training.Batch(step, _recipe.WindowsPerStep, length);
        Tensor loss = _model.Loss(inputs, targets);
        loss.backward();
        _optimizer.Step(_recipe.LearningRate * schedule.Factor(step), step + 1);
        return loss.item<float>();
    }

    private HeldOutLoss Evaluate()
    {
        _model.Training = false;
        HeldOutLoss loss = HeldOutLoss.Measure(_model, _corpus.HeldOut, _vocabulary, _recipe.WindowsPerStep);
        Log($"held-out loss {loss.PerToken:F4} nats per token, {loss.BitsPerByte:F4} bits per byte");
        SnapshotWriter.Write(Path.Combine(_options.Checkpoints, "snapshot"), _model, _vocabulary);
        return loss;
    }

    private void Log(string line) => _log.WriteLine($"{DateTime.Now:HH:mm:ss} {line}");
}
