using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cpu;

/// <summary>
/// The temperature-scaled distribution of one row in descending order, without sorting the vocabulary: weights e^((l − max)/T) are
/// counted and summed in buckets of eight an octave, and only the bucket in which a search ends is sorted. Equal weights
/// are ordered by id.
/// </summary>
internal ref struct TokenDistribution
{
    /// <summary>Buckets of weights in [2⁻¹²⁶, 1]: exponent and top three bits of the mantissa.</summary>
    public const int Buckets = (0x3F800000 >> BucketShift) + 1;
    private const int BucketShift = 20;

    private readonly Span<float> _weights;
    private readonly Span<double> _mass;
    private readonly Span<int> _count;
    private readonly Span<ulong> _candidates;
    private int _sortedBucket;

    /// <param name="logits">A finite largest value, no NaN. May be the scratch's own logits.</param>
    /// <param name="minP">Weights below it are dropped; the largest weight is 1.</param>
    public TokenDistribution(ReadOnlySpan<float> logits, float max, float temperature, float minP, SamplingScratch scratch)
    {
        _weights = scratch.Logits[..logits.Length];
        _mass = scratch.BucketMass;
        _count = scratch.BucketCount;
        _candidates = scratch.Candidates;
        _sortedBucket = -1;
        Exponentiate(logits, max, temperature, _weights);
        FillBuckets(minP);
    }

    /// <summary>Where a search in descending order ended: after so many tokens of so much weight, with this token.</summary>
    public readonly record struct Place(int Count, double Mass, int TokenId);

    /// <summary>
    /// The first place where <paramref name="count"/> tokens have been passed or their weights reach <paramref name="mass"/>;
    /// all tokens and no particular one when there are fewer and they weigh less.
    /// </summary>
    public Place Find(int count, double mass)
    {
        Place place = default;
        for (int bucket = Buckets - 1; bucket > 0; bucket--)
        {
            if (_count[bucket] == 0)
            {
                continue;
            }
            if (place.Count + _count[bucket] < count && place.Mass + _mass[bucket] < mass)
            {
                place = new(place.Count + _count[bucket], place.Mass + _mass[bucket], -1);
                continue;
            }
            foreach (ulong candidate in SortedBucket(bucket))
            {
                float weight = BitConverter.UInt32BitsToSingle(~(uint)(candidate >> 32));
                place = new(place.Count + 1, place.Mass + weight, (int)(uint)candidate);
                if (place.Count == count || place.Mass >= mass)
                {
                    return place;
                }
            }
        }
        return place;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Exponentiate(ReadOnlySpan<float> logits, float max, float temperature, Span<float> weights)
    {
        Vector<float> shift = new(max), scale = new(temperature);
        int lanes = Vector<float>.Count;
        int i = 0;
        for (; i <= logits.Length - lanes; i += lanes)
        {
            VectorMath.Exp((new Vector<float>(logits[i..]) - shift) / scale).CopyTo(weights[i..]);
        }
        for (; i < logits.Length; i++)
        {
            weights[i] = VectorMath.Exp((logits[i] - max) / temperature);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void FillBuckets(float minP)
    {
        _mass.Clear();
        _count.Clear();
        foreach (ref float weight in _weights)
        {
            if (weight < minP)
            {
                weight = 0;
            }
            else if (weight > 0)
            {
                int bucket = (int)(BitConverter.SingleToUInt32Bits(weight) >> BucketShift);
                _mass[bucket] += weight;
                _count[bucket]++;
            }
        }
    }

    /// <summary>Keys of a bucket's tokens: inverted bits of the weight above the id, ascending.</summary>
    private Span<ulong> SortedBucket(int bucket)
    {
        if (_sortedBucket != bucket)
        {
            Gather(bucket);
            _candidates[.._count[bucket]].Sort();
            _sortedBucket = bucket;
        }
        return _candidates[.._count[bucket]];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Gather(int bucket)
    {
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(_weights);
        Vector<uint> wanted = new((uint)bucket);
        int lanes = Vector<uint>.Count, found = 0;
        for (int i = 0; i < bits.Length; i += lanes)
        {
            int end = Math.Min(i + lanes, bits.Length);
            if (end - i == lanes && !Vector.EqualsAny(new Vector<uint>(bits[i..]) >>> BucketShift, wanted))
            {
                continue;
            }
            for (int id = i; id < end; id++)
            {
                if (bits[id] >> BucketShift == bucket)
                {
                    _candidates[found++] = (ulong)~bits[id] << 32 | (uint)id;
                }
            }
        }
    }
}
