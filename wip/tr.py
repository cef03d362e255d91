import sys; sys.path.insert(0,'/tmp/w')
import probe, pickle, torch, hashlib
from probe import *
import os
def data(seed=100,copies=6):
    p=f'/tmp/w/data{seed}_{copies}.pt'
    d=cl.Digits(seed)
    if not os.path.exists(p):
        tr=d.rows(D.TRAIN).rewritten(copies,2000+seed); torch.save((tr.images,tr.factors),p)
    im,f=torch.load(p)
    return cl.FactorDataset(im,f,d.graph,d.units,d.kinds), d.rows(D.CHOOSE)
def judge():
    p='/tmp/w/judge.pt'
    from caufvae_lite.studies.judge import Judge
    if not os.path.exists(p): torch.save(judge_of(tuple(D.TRAIN)).__dict__,p)
    j=Judge.__new__(Judge); j.__dict__=torch.load(p,weights_only=False); return j
def train(name,kl=1.0,sup=60.,lik=5.,w=6.0,extra=32,lr=4e-3,epochs=5,copies=6,bs=64,lrec=1.0,seed=100,cov="full",cls=CT):
    t,te=data(seed,copies)
    torch.manual_seed(seed)
    m=cls(te.graph,(1,32,32),supervision=sup,label_likelihood=lik,kl_weight=kl,extra_dims=extra,covariance=cov,label_reconstruction=lrec)
    m.weight=w
    h=cl.fit(m,t,epochs=epochs,seed=seed,batch_size=bs,lr=lr,device="cpu",progress=False,calibrate=False)
    torch.save((dict(extra=extra,kl=kl,sup=sup,lik=lik,lrec=lrec,cov=cov),m.state_dict()),f'/tmp/w/m_{name}.pt'); return m
def ask(m,te,do,given):
    truth=te.counterfactual(te.factors,do)
    if given:
        l=m.standardise(te.factors,len(te)); 
        lat=m.label_latents(l); sd=m._standardised_do(do,len(te))
        with torch.no_grad(): after=m.flow.counterfactual(lat,sd)
        f=after*m.std+m.mean
        full={"thickness":f[:,0],"intensity":f[:,1],"digit":truth[:,2:].argmax(-1)}
        return truth,m.counterfactual(te.images,full)
    return truth,m.counterfactual(te.images,do)
def rep(m,name=''):
    _,te=data(); J=judge(); pics=as_float(te.images); rec=m.reconstruct(te.images)
    f=m.factors(te.images)
    o=dict(name=name,t=r2(te.factors[:,0],f[:,0]),i=r2(te.factors[:,1],f[:,1]),d=(f[:,2:].argmax(-1)==te.digit).float().mean().item(),psnr=psnr(pics,rec),l1=255*(pics-rec).abs().mean().item())
    print({k:(round(v,3) if not isinstance(v,str) else v) for k,v in o.items()})
    for given in (0,1):
      for q,do in D.questions(te).items():
        truth,a=ask(m,te,do,given); x=a.images
        j,dg=J(x); ru=te.measure(x)
        o=[given,q,mae(truth[:,0],j[:,0]),mae(truth[:,1],j[:,1]),(j[:,1]-truth[:,1]).mean().item(),(dg==truth[:,2:].argmax(-1)).float().mean().item(),(truth[:,0]-ru[:,0]).abs().nanmean().item(), (truth[:,1]-ru[:,1]).abs().nanmean().item(),(ru[:,1]-truth[:,1]).nanmean().item()]
        if q!='digit':
            tr=te.render(truth); o+=[psnr(tr,x), r2(truth[:,1],ru[:,1].nan_to_num(0))]
        print([round(v,3) if isinstance(v,float) else v for v in o],flush=True)
if __name__=="__main__":
    for spec in sys.argv[1:]:
        kw=dict(kv.split("=") for kv in spec.split(",")); 
        kw={k:(int(v) if k in("extra","epochs","copies","bs","seed") else v if k=="cov" else float(v)) for k,v in kw.items()}
        t=time.time(); rep(train(spec,**kw),spec); print(time.time()-t)
