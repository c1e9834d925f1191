namespace LlamaServe.Engine.Scheduling;

/// <summary>
/// How long a step takes: seconds ≈ a + b · tokens + c · attended tokens, fitted to the measured steps by recursive least
/// squares. It decides how much joins a step and so only when tokens come, never which.
/// </summary>
internal sealed class StepCostModel
{
    private const int Terms = 3;

    /// <summary>Scales that bring the terms to about 1 for a usual step.</summary>
    private const double TokenScale = 1.0 / 64;
    private const double AttendedScale = 1.0 / 65536;

    /// <summary>How far the model may have drifted between two steps, in squared milliseconds a term.</summary>
    private const double Drift = 1e-3;
    private const double InitialVariance = 1e4;

    /// <summary>A step that took this many times the prediction was disturbed from outside and counts as this long only.</summary>
    private const double MostSurprise = 3;
    private const int WarmUpSteps = 8;

    private readonly double[] _milliseconds = new double[Terms];
    private readonly double[] _covariance = new double[Terms * Terms];
    private readonly double[] _gain = new double[Terms];
    private int _steps;

    public StepCostModel()
    {
        for (int i = 0; i < Terms; i++)
        {
            _covariance[i * Terms + i] = InitialVariance;
        }
    }

    /// <summary>Whether enough steps were seen to predict anything.</summary>
    public bool IsReady => _steps >= WarmUpSteps;

    /// <summary>Expected seconds of a step.</summary>
    public double Predict(int tokens, double attended) =>
        1e-3 * (Term(0) + Term(1) * tokens * TokenScale + Term(2) * attended * AttendedScale);

    /// <summary>Tokens that may join a step of <paramref name="tokens"/> others so that it takes <paramref name="target"/> seconds.</summary>
    /// <param name="context">Context that each of the joining tokens attends to.</param>
    public int TokensWithin(double target, int tokens, double attended, double context)
    {
        double left = 1e3 * (target - Predict(tokens, attended));
        double each = Term(1) * TokenScale + Term(2) * AttendedScale * context;
        return left <= 0 ? 0 : (int)Math.Min(left / Math.Max(each, 1e-9), 1 << 24);
    }

    /// <summary>Learns from a step: the Kalman filter of a parameter vector that wanders slowly.</summary>
    public void Observe(int tokens, double attended, double seconds)
    {
        Span<double> x = [1, tokens * TokenScale, attended * AttendedScale];
        double expected = 1e3 * Predict(tokens, attended);
        double measured = 1e3 * seconds;
        if (IsReady && expected > 0)
        {
            measured = Math.Min(measured, MostSurprise * expected);
        }
        double noise = 0.01 * measured * measured + 1e-6;
        double variance = noise;
        for (int i = 0; i < Terms; i++)
        {
            _covariance[i * Terms + i] = Math.Min(_covariance[i * Terms + i] + Drift, InitialVariance);
        }
        for (int i = 0; i < Terms; i++)
        {
            _gain[i] = 0;
            for (int j = 0; j < Terms; j++)
            {
                _gain[i] += _covariance[i * Terms + j] * x[j];
            }
            variance += x[i] * _gain[i];
        }
        double innovation = measured - (_milliseconds[0] + _milliseconds[1] * x[1] + _milliseconds[2] * x[2]);
        for (int i = 0; i < Terms; i++)
        {
            _milliseconds[i] += _gain[i] / variance * innovation;
            for (int j = 0; j <= i; j++)
            {
                double updated = _covariance[i * Terms + j] - _gain[i] * _gain[j] / variance;
                _covariance[i * Terms + j] = updated;
                _covariance[j * Terms + i] = updated;
            }
        }
        _steps++;
    }

    /// <summary>No part of a step takes negative time, whatever the fit says.</summary>
    private double Term(int index) => Math.Max(_milliseconds[index], 0);
}
